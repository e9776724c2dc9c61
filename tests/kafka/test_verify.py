"""`pg-tide verify` tells what is missing, repeated, out of order or of nobody, and nothing where all is well.

A fault is made on purpose: a relay delivers, then the pipeline is pointed to a copy of its topic in which one thing is
wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from kafka.verifying import Answer, Copy, copies, run, verify, write
from relay_kit import FAST, Tide, alter_topic
from waiting import eventually

Edit = Callable[[list[Copy]], list[Copy]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An outbox whose messages a relay has delivered."""

    tide: Tide
    topic: str
    ids: list[int]
    records: list[Copy]
    make_topic: MakeTopic

    def judged(self, edit: Edit, *, partitions: int = 1, config: dict[str, str] | None = None) -> Answer:
        """What the command says of a copy of the topic."""
        copy = self.make_topic(partitions=partitions, config=config)
        write(self.tide.bootstrap, copy, edit(self.records))
        self.tide.pipeline(copy)
        return verify(self.tide)


@pytest.fixture
def delivered(tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic) -> Scene:
    """Ten messages of the keys a and b in turn, all settled; the relay has ended."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic)
    ids = [tide.publish({"n": n}, key="ab"[n % 2]) for n in range(10)]
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert relay.terminate() == 0
    return Scene(
        tide=tide, topic=topic, ids=ids, records=copies(read_topic(topic, 10)), make_topic=make_topic
    )


def test_nothing_is_found_where_all_is_well(delivered: Scene) -> None:
    answer = verify(delivered.tide)
    assert (answer.code, answer.report["clean"], answer.found) == (0, True, {})
    report, ids = answer.report, delivered.ids
    assert (report["range"]["from_id"], report["range"]["to_id"]) == (ids[0], ids[-1])
    assert report["range"]["from_ts"] == delivered.records[0].ts
    assert (report["messages"]["held"], report["messages"]["compared"], report["records"]["read"]) == (
        10,
        10,
        10,
    )
    (part,) = report["partitions"]
    assert part == {"topic": delivered.topic, "partition": 0, "begin": 0, "end": 10, "records": 10}
    assert delivered.judged(lambda records: records).found == {}


def test_a_missing_record_is_a_gap(delivered: Scene) -> None:
    answer = delivered.judged(lambda records: records[:4] + records[5:])
    assert (answer.code, answer.found) == (1, {"gaps": [delivered.ids[4]]})
    (example,) = answer.report["findings"]["gaps"]["examples"]
    assert example["ts"] == delivered.records[4].ts
    assert answer.report["messages"]["compared"] == 10


def test_a_record_that_is_there_twice_is_shown_and_is_no_fault(delivered: Scene) -> None:
    answer = delivered.judged(lambda records: [*records, records[3]])
    assert (answer.code, answer.found) == (0, {"duplicates": [delivered.ids[3]]})
    (example,) = answer.report["findings"]["duplicates"]["examples"]
    assert (example["partition"], example["offset"]) == (0, 10)


def test_two_records_of_a_key_in_the_wrong_order_are_an_order_break(delivered: Scene) -> None:
    """Told is the late one, with the place where it stands; records of two keys have no order."""

    def swapped(one: int, other: int) -> Edit:
        def edit(records: list[Copy]) -> list[Copy]:
            found = list(records)
            found[one], found[other] = found[other], found[one]
            return found

        return edit

    answer = delivered.judged(swapped(2, 4))
    assert (answer.code, answer.found) == (1, {"order_breaks": [delivered.ids[2]]})
    (example,) = answer.report["findings"]["order_breaks"]["examples"]
    assert example["offset"] == 4
    assert example["note"] == f"stands behind message {delivered.ids[4]} of the same key"
    assert delivered.judged(swapped(2, 3)).found == {}


def test_a_resend_in_its_own_order_is_no_order_break(delivered: Scene) -> None:
    """A later copy is a duplicate, also behind newer records."""
    answer = delivered.judged(lambda records: [*records[:6], *records[2:]])
    assert (answer.code, answer.found) == (0, {"duplicates": delivered.ids[2:6]})


def test_a_record_of_no_message_is_a_phantom(delivered: Scene) -> None:
    """One with an id that there never was, and one whose id belongs to another message by now."""

    def edit(records: list[Copy]) -> list[Copy]:
        lost = records[7].naming(pg_tide_id=str(delivered.ids[-1] + 1000))
        used_again = records[5].naming(pg_tide_ts=str(records[5].ts - 1))
        return [*records, lost, used_again]

    answer = delivered.judged(edit)
    assert (answer.code, answer.found) == (0, {"phantoms": [delivered.ids[-1] + 1000, delivered.ids[5]]})
    first, second = answer.report["findings"]["phantoms"]["examples"]
    assert [first["offset"], second["offset"]] == [10, 11]


def test_what_the_filter_drops_is_not_missed_and_misplaced_where_it_is(delivered: Scene) -> None:
    odd_only = {"filter": "n != `4`"}
    tide, copy = delivered.tide, delivered.make_topic()
    write(tide.bootstrap, copy, delivered.records[:4] + delivered.records[5:])
    tide.pipeline(copy, transform=odd_only)
    answer = verify(tide)
    assert (answer.code, answer.found, answer.report["messages"]["filtered"]) == (0, {}, 1)
    tide.pipeline(delivered.topic, transform=odd_only)
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {"misplaced": [delivered.ids[4]]})


def test_what_is_not_settled_is_not_missed_and_no_phantom(delivered: Scene) -> None:
    """Whether its record is there already or not; nor is a message of a transaction that commits meanwhile."""
    tide = delivered.tide
    waiting = [tide.publish({}, key="a"), tide.publish({}, key="a")]
    last = delivered.records[-1]
    ts = tide.value(
        "select (extract(epoch from created_at) * 1000000)::bigint from tide.message where id = %s",
        waiting[0],
    )
    sent = last.naming(pg_tide_id=str(waiting[0]), pg_tide_ts=str(ts))
    answer = delivered.judged(lambda records: [*records, sent])
    assert (answer.code, answer.found, answer.report["messages"]["unsettled"]) == (0, {}, 2)


def test_a_replay_pass_leaves_out_what_it_is_about_to_send_again(delivered: Scene) -> None:
    delivered.tide.value(
        "select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", delivered.ids[6]
    )
    answer = delivered.judged(lambda records: records[:6])
    assert (answer.code, answer.report["messages"]["unsettled"]) == (0, 4)
    answer = delivered.judged(lambda records: records[:5])
    assert (answer.code, answer.found) == (1, {"gaps": [delivered.ids[5]]})


def test_a_record_on_the_topic_of_another_rule_is_misplaced_and_its_message_missing(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """Topics come from rules and templates, as the relay's own do."""
    base, large = make_topic(suffix="-insert"), make_topic()
    template = base.removesuffix("insert") + "{op}"

    def configure(threshold: int) -> None:
        rules = {"rules": [{"when": f"n > `{threshold}`", "topic": large}]}
        tide.pipeline(template, routing=rules, topics={"policy": "require"})

    tide.outbox()
    configure(3)
    ids = [tide.publish({"n": n}) for n in range(6)]
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    relay.terminate()
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    assert {part["topic"]: part["records"] for part in answer.report["partitions"]} == {base: 4, large: 2}
    assert answer.report["missing_topics"] == [template.replace("{op}", op) for op in ("update", "delete")]
    configure(4)
    answer = verify(tide)
    assert (answer.code, answer.found) == (1, {"gaps": [ids[4]], "misplaced": [ids[4]]})
    assert answer.report["findings"]["gaps"]["examples"][0]["note"] == "a record of it is on another topic"


def test_messages_before_the_start_of_a_group_or_skipped_are_not_missed(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """But those that a rewind has asked for are."""
    tide.outbox()
    before = tide.publish()
    tide.pipeline(topic, start="latest")
    relay = start_relay(tide.dsn, *FAST)
    sent = tide.publish()
    tide.until_settled()
    relay.terminate()
    tide.publish()
    tide.value("select tide.group_skip('orders-to-kafka', 'orders')")
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    assert (answer.report["messages"]["passed_over"], answer.report["messages"]["held"]) == (3, 3)
    tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", before)
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    relay.terminate()
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {"duplicates": [sent]})
    assert answer.report["messages"]["compared"] == 3


def test_what_a_transaction_took_back_was_never_sent(delivered: Scene) -> None:
    tide, copy = delivered.tide, delivered.make_topic()
    write(tide.bootstrap, copy, delivered.records[:9])
    settings = {"bootstrap.servers": tide.bootstrap, "transactional.id": copy, "log_level": 0}
    producer = Producer(settings)
    producer.init_transactions(30)
    producer.begin_transaction()
    last = delivered.records[9]
    producer.produce(copy, last.value, last.key, 0, headers=last.headers)
    producer.flush(30)
    producer.abort_transaction(30)
    tide.pipeline(copy)
    answer = verify(tide)
    assert (answer.code, answer.found) == (1, {"gaps": [delivered.ids[9]]})


def test_it_leaves_no_trace(delivered: Scene) -> None:
    """No group on the cluster, no topic, no change of the cursor's row."""
    tide = delivered.tide
    query = "select c.xmin::text, c.ctid::text, c.* from tide.cursor c"
    admin = AdminClient({"bootstrap.servers": tide.bootstrap, "log_level": 0})
    before = tide.rows(query), sorted(admin.list_topics(timeout=10).topics)
    verify(tide)
    assert (tide.rows(query), sorted(admin.list_topics(timeout=10).topics)) == before
    groups = admin.list_consumer_groups().result().valid
    assert [group.group_id for group in groups if group.group_id.startswith("pg-tide-verify")] == []


def test_a_relays_rights_suffice_and_a_monitors_do_not(delivered: Scene) -> None:
    tide, info = delivered.tide, delivered.tide.connection.info
    tide.connection.execute("create role verifier login password 'verifier'")
    dsn = tide.dsn.replace(f"{info.user}:{info.password}", "verifier:verifier")
    try:
        tide.value("select tide.role_grant('monitor', 'verifier')")
        refused = run(tide, "orders-to-kafka", "--postgres-url", dsn)
        assert refused.returncode == 1
        assert "select tide.role_grant('relay', '<role>');" in refused.stderr
        tide.value("select tide.role_grant('relay', 'verifier')")
        assert run(tide, "orders-to-kafka", "--postgres-url", dsn).returncode == 0
    finally:
        tide.connection.execute("drop owned by verifier; drop role verifier")


def test_a_table_for_people_shows_what_was_found_and_where(delivered: Scene) -> None:
    delivered.judged(lambda records: records[:4] + records[5:])
    done = run(delivered.tide, "orders-to-kafka")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert "Gaps: settled messages without their record: 1" in lines
    assert lines[-1] == "1 missing, 0 out of order."
    assert any(line.startswith(f"  ({delivered.ids[4]}, {delivered.records[4].ts}) test-") for line in lines)


def test_what_is_wrong_with_the_question_is_told(tide: Tide, topic: str) -> None:
    """A pipeline that does not exist, a cluster that is away, a variable that is not set."""
    tide.outbox()
    tide.pipeline(topic)
    unknown = run(tide, "orders-to-kafk")
    assert (unknown.returncode, "did you mean 'orders-to-kafka'?" in unknown.stderr) == (2, True)
    tide.pipeline(topic, brokers="127.0.0.1:1")
    away = run(tide, "orders-to-kafka")
    assert (away.returncode, "can't be read" in away.stderr) == (75, True)
    tide.pipeline(topic, brokers="${env:KAFKA_NOWHERE}")
    unset = run(tide, "orders-to-kafka")
    assert (unset.returncode, "KAFKA_NOWHERE" in unset.stderr) == (78, True)


def test_a_dead_letter_is_not_missed_and_a_redriven_one_is_in_no_order(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """It was passed: later messages of its key stand before it."""
    topic = make_topic(config={"max.message.bytes": "5000"})
    tide.outbox()
    tide.pipeline(topic)
    start_relay(tide.dsn, *FAST)
    tide.publish(key="one")
    bad = tide.publish({"x": "x" * 20_000}, key="one")
    tide.publish(key="one")
    tide.until_settled()
    answer = verify(tide)
    assert (answer.code, answer.found, answer.report["messages"]["dead_letters"]) == (0, {}, 1)
    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    tide.rows("select * from tide.dlq_redrive('orders-to-kafka', ids => array[%s])", bad)
    redriven = "select count(*) from tide.dead_letters where state = 'redriven'"
    eventually(lambda: tide.value(redriven) == 1)
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    assert (answer.report["messages"]["compared"], answer.report["messages"]["dead_letters"]) == (3, 0)
    tide.pipeline(make_topic())
    assert bad in verify(tide).ids("gaps")
