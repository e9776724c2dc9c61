"""`pg-tide verify` compares what both sides still hold, and says what that is."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka.admin import AdminClient

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import PG_TIDE, StartRelay, clean_environment
from fix_run import Progress
from kafka.verifying import Copy, copies, run, verify, write
from relay_kit import FAST, Tide

LATER = "select action from tide.retention_run(clock_timestamp() + interval '97 hours')"


def delivered(tide: Tide, start_relay: StartRelay) -> None:
    """Let a relay deliver what is there."""
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled(within=120)
    assert relay.terminate() == 0


def trim(tide: Tide, topic: str, partition: int, below: int) -> None:
    """Remove the records of a partition below an offset, as a topic's retention does."""
    admin = AdminClient({"bootstrap.servers": tide.bootstrap, "log_level": 0})
    where = TopicPartition(topic, partition, below)
    for answer in admin.delete_records([where]).values():
        answer.result(timeout=30)


def test_records_that_the_topic_has_removed_are_not_missed_and_those_behind_are(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The cut is made behind the first hundred records: one alone may be a straggler's, with an id far below."""
    topic, copy = make_topic(), make_topic()
    tide.outbox()
    tide.pipeline(topic)
    ids = tide.publish_many(400)
    delivered(tide, start_relay)
    records = copies(read_topic(topic, 400))
    straggler = [*records[:100], *records[101:200], records[100], *records[200:]]
    write(tide.bootstrap, copy, [one for one in straggler if one.message_id != ids[350]])
    tide.pipeline(copy)
    assert verify(tide).found == {"gaps": [ids[350]]}
    trim(tide, copy, 0, 199)
    answer = verify(tide)
    assert (answer.code, answer.found) == (1, {"gaps": [ids[350]]})
    assert answer.report["partitions"][0]["begin"] == 199
    # The straggler, message 100, is there; messages 0 to 99 and 101 to 199 are not.
    assert answer.report["messages"]["removed_by_topic"] == 199
    assert answer.report["messages"]["compared"] == 201
    trim(tide, copy, 0, 399)
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    assert answer.report["messages"]["compared"] == 0


def test_a_partition_that_lost_its_beginning_excuses_no_message_of_another(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Where a message belongs is told by its key; one without a key may be anywhere."""
    topic, copy = make_topic(partitions=2), make_topic(partitions=2)
    tide.outbox()
    tide.pipeline(topic)
    keyed = tide.publish_many(300)
    without = [tide.publish() for _ in range(3)]
    delivered(tide, start_relay)
    records = copies(read_topic(topic, 303))
    on_first = [one.message_id for one in records if one.partition == 0 and one.message_id in keyed]
    on_second = [one.message_id for one in records if one.partition == 1 and one.message_id in keyed]
    lost = {on_first[3], on_second[3], without[0]}
    write(tide.bootstrap, copy, [one for one in records if one.message_id not in lost])
    tide.pipeline(copy)
    assert verify(tide).found == {"gaps": sorted(lost)}
    trim(tide, copy, 0, 1)
    answer = verify(tide)
    assert (answer.code, answer.found) == (1, {"gaps": [on_second[3], without[0]]})
    trim(tide, copy, 0, OFFSET_END)
    answer = verify(tide)
    assert answer.found == {"gaps": [on_second[3]]}


def test_records_of_messages_that_retention_has_dropped_are_no_phantoms(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    tide.outbox()
    tide.pipeline(topic)
    tide.publish_many(5)
    delivered(tide, start_relay)
    assert [row.action for row in tide.rows(LATER)] == ["rotated", "emptied"]
    kept = tide.publish()
    delivered(tide, start_relay)
    answer = verify(tide)
    assert (answer.code, answer.found) == (0, {})
    assert answer.report["records"]["dropped"] == 5
    assert answer.report["range"]["from_id"] == kept


def test_records_of_an_outbox_that_had_the_name_before_are_out_of_range(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """The topic outlives the outbox."""
    for _ in range(2):
        tide.outbox()
        tide.pipeline(topic)
        tide.publish_many(3)
        delivered(tide, start_relay)
        answer = verify(tide)
        tide.value("select tide.relay_drop('orders-to-kafka')")
        tide.value("select tide.group_drop('orders-to-kafka', 'orders')")
        tide.value("select tide.outbox_disable('orders')")
        tide.value("select tide.outbox_drop('orders', force => true)")
    assert (answer.code, answer.found) == (0, {})
    assert answer.report["records"]["out_of_range"] == 3


def test_records_of_others_on_the_same_topic_are_nobodys_fault(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """Another outbox's, another program's, and a second pipeline's of the same outbox: those are duplicates."""
    tide.outbox()
    tide.outbox("other")
    tide.pipeline(topic)
    tide.pipeline(topic, name="other", outbox="other")
    tide.publish_many(3)
    tide.publish(outbox="other")
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled("orders-to-kafka", "other")
    relay.terminate()
    write(tide.bootstrap, topic, [Copy(0, b"k", b"foreign", [("pg_tide_id", b"none")], 1_700_000_000_000)])
    answer = verify(tide)
    assert (answer.code, answer.found, answer.report["records"]["others"]) == (0, {}, 2)
    assert verify(tide, pipeline="other").report["records"]["others"] == 4


def test_a_compacted_topic_keeps_the_newest_record_of_a_key(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Older ones may be gone; the newest may not."""
    topic, copy = make_topic(), make_topic(config={"cleanup.policy": "compact"})
    tide.outbox()
    tide.pipeline(topic)
    first = [tide.publish({}, key=key) for key in "abc"]
    last = [tide.publish({}, key=key) for key in "ab"]
    delivered(tide, start_relay)
    kept = [one for one in copies(read_topic(topic, 5)) if one.message_id in (last[0], first[1])]
    write(tide.bootstrap, copy, kept)
    tide.pipeline(copy)
    answer = verify(tide)
    assert (answer.code, answer.found) == (1, {"gaps": [first[2], last[1]]})
    assert answer.report["messages"]["removed_by_topic"] == 1


def test_the_range_can_be_chosen(
    tide: Tide, topic: str, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """By ids, and by a number of messages at most; the answer says what limited it."""
    tide.outbox()
    tide.pipeline(topic)
    ids = tide.publish_many(10)
    delivered(tide, start_relay)
    tide.pipeline(make_topic())
    for flags, expected, limited in (
        ((), ids, None),
        (("--from", str(ids[4])), ids[4:], f"--from {ids[4]}"),
        (("--from", str(ids[4]), "--to", str(ids[6])), ids[4:7], f"--from {ids[4]}"),
        (("--limit", "10"), ids, None),
        (("--limit", "3"), ids[7:], "--limit 3"),
    ):
        answer = verify(tide, *flags)
        assert (answer.code, answer.found) == (1, {"gaps": expected})
        assert answer.report["range"]["limited"] == limited
    tide.pipeline(topic)
    answer = verify(tide, "--from", str(ids[4]), "--to", str(ids[6]))
    assert (answer.code, answer.report["records"]["out_of_range"]) == (0, 7)


def test_an_outbox_without_messages_and_a_topic_that_is_missing_are_told(tide: Tide, topic: str) -> None:
    tide.outbox()
    tide.pipeline(f"{topic}-none")
    done = run(tide, "orders-to-kafka")
    assert done.returncode == 0
    assert "nothing: the outbox holds no message" in done.stdout
    assert f"  {topic}-none: does not exist" in done.stdout.splitlines()


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_million_messages_take_less_than_200_mb(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, progress: Progress, tmp_path: Path
) -> None:
    """A key each, and the same key for all of the second half."""
    topic = make_topic(partitions=6)
    tide.outbox()
    tide.pipeline(topic, batch_size=1000, compression="lz4")
    for part in range(10):
        tide.publish_many(100_000, key="one" if part >= 5 else "", size=100)
    delivered(tide, start_relay)
    command = [*PG_TIDE, "verify", "orders-to-kafka", "--postgres-url", tide.dsn]
    (tmp_path / "out").touch()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    measure = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
        "print('MB', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, *command],
        env=clean_environment(), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before.ru_utime
    assert done.returncode == 0, done.stdout + done.stderr
    megabytes = int(done.stdout.split("MB ")[1])
    progress(f"{megabytes} MB, {seconds:.1f} s CPU")
    assert "1,000,000 must be on the topics" in done.stdout
    assert "messages of the outbox read: " in done.stderr
    assert megabytes < 200
