"""A message that can't be delivered: kept with everything, passed or parked behind, sent again in order."""

import json
import subprocess
from typing import Any

import psycopg
import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import PG_TIDE, StartRelay, clean_environment
from relay_kit import FAST, Tide, alter_topic, first_occurrences, ids, records
from waiting import eventually

SMALL = {"max.message.bytes": "5000"}
LARGE = {"x": "x" * 20_000}
PARK = {"on_error": "park_key"}


def letters(tide: Tide, *columns: str, pipeline: str = "orders-to-kafka") -> list[tuple[Any, ...]]:
    """These columns of the pipeline's dead letters, in the order of their messages."""
    return [
        tuple(row)
        for row in tide.rows(
            f"select {', '.join(columns)} from tide.dead_letters where pipeline = %s order by message_id",
            pipeline,
        )
    ]


def states(tide: Tide) -> dict[int, str]:
    return dict(letters(tide, "message_id", "state"))  # type: ignore[arg-type]


def redrive(tide: Tide, how: str = "everything => true") -> dict[int, str]:
    """What a redrive does with which message."""
    found = tide.rows(f"select message_id, action from tide.dlq_redrive('orders-to-kafka', {how})")
    return {row.message_id: row.action for row in found}


def until_states(tide: Tide, expected: dict[int, str]) -> None:
    eventually(
        lambda: states(tide) == expected, why=lambda: str(letters(tide, "message_id", "state", "error"))
    )


@pytest.mark.parametrize("refused_by", ["broker", "relay"])
def test_a_message_that_cannot_be_delivered_is_kept_with_everything_and_the_rest_goes_on(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, refused_by: str
) -> None:
    """Also those of its key: the default of on_error is to continue."""
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, message_key="{key}")
    before = tide.publish_many(250, key="one")
    named: dict[str, Any] = {
        "op": "update",
        "dedup_key": "d",
        "headers": '{"h": "v"}',
        "old_payload": '{"was": 1}',
    }
    named |= {"key": "one"} if refused_by == "broker" else {}
    bad = tide.publish(LARGE if refused_by == "broker" else {"x": 1}, **named)
    after = tide.publish_many(250, key="one")
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()

    assert relay.lines("dead_letters", count=1, message_id=bad, level="warning")
    assert first_occurrences(ids(read_topic(topic, 500))) == before + after
    (letter,) = tide.rows("select * from tide.dead_letters")
    assert (letter.message_id, letter.state, letter.attempts, letter.parks) == (bad, "dead", 1, False)
    assert (letter.op, letter.dedup_key, letter.headers, letter.old_payload) == (
        "update",
        "d",
        '{"h": "v"}',
        '{"was": 1}',
    )
    (published_at,) = tide.rows("select created_at, payload, key from tide.message where id = %s", bad)
    assert (letter.created_at, letter.payload, letter.key) == tuple(published_at)
    if refused_by == "broker":
        assert (letter.error_class, letter.error_code, letter.topic) == (
            "message",
            "MSG_SIZE_TOO_LARGE",
            topic,
        )
        assert letter.ordering_key == "one"
    else:
        assert "asks for {key}" in letter.error
        assert letter.ordering_key == "d"
    assert tide.pipeline_row().state == "running"
    assert tide.rows("select * from tide.dead_letter_counts")[0].messages == 1


def test_a_parked_key_waits_in_order_and_a_redrive_lets_it_all_go(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Other keys flow all the time; nothing of the key is on the topic before what stands before it."""
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, dlq=PARK)
    start_relay(tide.dsn, *FAST)
    first = tide.publish(key="one")
    bad = tide.publish(LARGE, key="one")
    parked = tide.publish_many(300, key="one")
    others = tide.publish_many(300)
    tide.until_settled()
    assert sorted(set(ids(read_topic(topic)))) == sorted([first, *others])
    assert states(tide) == {bad: "dead"} | dict.fromkeys(parked, "parked")

    later = tide.publish_many(10, key="one")
    tide.until_settled()
    assert redrive(tide, f"ids => array[{bad}], dry_run => true")[bad] == "redrive"
    assert states(tide)[bad] == "dead"
    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    assert redrive(tide) == {bad: "redrive"} | dict.fromkeys(parked + later, "follows")
    until_states(tide, dict.fromkeys([bad, *parked, *later], "redriven"))

    free = tide.publish_many(5, key="one")
    tide.until_settled()
    of_key = [record.message_id for record in records(read_topic(topic)) if record.key == b"one"]
    assert first_occurrences(of_key) == [first, bad, *parked, *later, *free]
    assert set(states(tide)) == {bad, *parked, *later}


def test_messages_published_while_a_key_drains_go_behind_it(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, dlq=PARK, batch_size=20)
    start_relay(tide.dsn, *FAST)
    expected = [tide.publish(LARGE, key="one"), *tide.publish_many(500, key="one")]
    tide.until_settled()
    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    redrive(tide)
    while set(states(tide).values()) != {"redriven"}:
        expected += [tide.publish(key="one") for _ in range(5)]
    expected += [tide.publish(key="one") for _ in range(5)]
    tide.until_settled()
    until_states(tide, dict.fromkeys(states(tide), "redriven"))
    assert first_occurrences(ids(read_topic(topic, len(expected)))) == expected


def test_a_letter_that_fails_again_counts_on_and_its_key_waits_again(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, dlq=PARK)
    start_relay(tide.dsn, *FAST)
    bad, parked = tide.publish(LARGE, key="one"), tide.publish_many(3, key="one")
    other, free = tide.publish(LARGE, key="two"), tide.publish(key="three")
    tide.until_settled()
    redrive(tide)
    eventually(lambda: letters(tide, "attempts") == [(2,), (0,), (0,), (0,), (2,)])
    assert states(tide) == {bad: "dead", other: "dead"} | dict.fromkeys(parked, "parked")
    assert ids(read_topic(topic)) == [free]


def test_discarding_what_stands_in_the_way_lets_the_rest_of_its_key_go(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, dlq=PARK)
    start_relay(tide.dsn, *FAST)
    bad, parked = tide.publish(LARGE, key="one"), tide.publish_many(3, key="one")
    tide.until_settled()
    tide.rows("select * from tide.dlq_discard('orders-to-kafka', array[%s]::bigint[], 'a test')", bad)
    until_states(tide, {bad: "discarded"} | dict.fromkeys(parked, "redriven"))
    later = tide.publish(key="one")
    tide.until_settled()
    assert ids(read_topic(topic, 4)) == [*parked, later]
    assert letters(tide, "reason")[0] == ("a test",)


def test_a_relay_that_takes_over_knows_which_keys_are_parked(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, dlq=PARK, request_timeout_ms=200)
    relay = start_relay(tide.dsn, *FAST)
    bad = tide.publish(LARGE, key="one")
    tide.until_settled()
    eventually(lambda: states(tide) == {bad: "dead"})
    relay.kill()
    later = tide.publish_many(5, key="one")
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert states(tide) == {bad: "dead"} | dict.fromkeys(later, "parked")
    assert read_topic(topic) == []


def test_more_parked_keys_than_allowed_stop_the_pipeline_and_drop_nothing(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, dlq={**PARK, "max_parked_keys": 2})
    start_relay(tide.dsn, *FAST)
    bad = [tide.publish(LARGE, key=key) for key in ("a", "b", "c")]
    last = tide.publish(key="d")
    row = tide.until_state("error")
    assert (row.message_id, tide.pending()) == (bad[2], 2)
    assert "2 keys are parked" in row.error
    assert "dlq_redrive" in row.cure

    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    redrive(tide)
    tide.until_settled()
    assert sorted(first_occurrences(ids(read_topic(topic, 4)))) == [*bad, last]
    assert tide.until_state("running")


def test_a_fault_of_all_messages_stops_the_pipeline(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """It is the configuration's: an outbox must not end up among the dead letters."""
    tide.outbox()
    tide.pipeline(topic, message_key="{dedup_key}", dlq={"max_in_a_row": 10})
    published = tide.publish_many(50)
    start_relay(tide.dsn, *FAST)
    row = tide.until_state("error")
    assert row.message_id == published[10]
    assert "the 10 messages before it" in row.error
    eventually(lambda: len(states(tide)) == 10)
    tide.pipeline(topic, message_key="{key}", dlq={"max_in_a_row": 10})
    redrive(tide)
    until_states(tide, dict.fromkeys(published[:10], "redriven"))
    tide.until_settled()
    assert sorted(ids(read_topic(topic, 50))) == published


def test_a_dead_letter_is_kept_once_however_often_its_message_comes_again(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """A rewind sends everything again; what dies again keeps its row and counts on."""
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic)
    bad = tide.publish(LARGE, key="one")
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", bad)
    eventually(lambda: letters(tide, "message_id", "state", "attempts") == [(bad, "dead", 2)])


def test_a_pipeline_with_dead_letters_is_not_dropped(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic)
    tide.publish(LARGE)
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    with pytest.raises(psycopg.Error, match="1 dead letters"):
        tide.value("select tide.relay_drop('orders-to-kafka')")
    tide.rows("select * from tide.dlq_discard('orders-to-kafka', reason => 'test', everything => true)")
    tide.value("select tide.relay_drop('orders-to-kafka')")


def test_the_command_line_lists_shows_sends_again_and_gives_up(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """With the exit codes that scripts rely on, and with bad input."""

    def dlq(*words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PG_TIDE, "dlq", *words, "--postgres-url", tide.dsn],
            env=clean_environment(),
            input=answer,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic)
    bad = [tide.publish(LARGE, key="one"), tide.publish(LARGE, key="two")]
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    listed = json.loads(dlq("list", "-o", "json").stdout)
    assert [letter["message_id"] for letter in listed["dead_letters"]] == bad
    assert "MSG_SIZE_TOO_LARGE" in dlq("show", "orders-to-kafka", str(bad[0])).stdout
    assert dlq("show", "orders-to-kafka", "7777").returncode == 1
    misspelt = dlq("list", "orders-to-kafkaa")
    assert (misspelt.returncode, "did you mean 'orders-to-kafka'?" in misspelt.stderr) == (2, True)
    assert (nothing := dlq("redrive", "orders-to-kafka")).returncode == 1
    assert "TD060" in nothing.stderr
    again = dlq("redrive", "orders-to-kafka", str(bad[0]))
    assert (again.returncode, "1 of 1 were not delivered" in again.stderr) == (1, True)
    assert dlq("discard", "orders-to-kafka", str(bad[1]), "--reason", "test", answer="n\n").returncode != 0
    assert set(states(tide).values()) == {"dead"}
    assert dlq("discard", "orders-to-kafka", str(bad[1]), "--reason", "test", "--dry-run").returncode == 0
    assert dlq("discard", "orders-to-kafka", str(bad[1]), "--reason", "test", answer="y\n").returncode == 0
    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    assert dlq("redrive", "orders-to-kafka", "--all").returncode == 0
    assert states(tide) == {bad[0]: "redriven", bad[1]: "discarded"}
