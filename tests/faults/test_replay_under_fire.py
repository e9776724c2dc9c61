"""Replays while relays die and connections break: no gap among the copies, each key in order, near where it was."""

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from kafka.conftest import tide
from relay_kit import FAST, Tide, first_occurrences, records
from waiting import eventually

__all__ = ["tide"]

MESSAGES = 300
BATCH = 25
ASK = (
    "select replay_id from tide.replay('orders-to-kafka', everything => true, to_topic => %s,"
    " max_messages_per_second => 150)"
)
SENT = "select sent from tide.replays"


def publish(tide: Tide, topic: str, **keys: object) -> list[int]:
    """Messages of three keys, for pages of 25 of them."""
    tide.outbox()
    tide.pipeline(topic, batch_size=BATCH, request_timeout_ms=500, **keys)
    found = tide.value(
        "select array_agg(tide.outbox_publish('orders', '{}', key => 'k' || n %% 3) order by n)"
        " from generate_series(1, %s) n",
        MESSAGES,
    )
    return list(found)


def until_done(tide: Tide) -> None:
    eventually(
        lambda: tide.value("select state from tide.replays") == "done",
        why=lambda: str(tide.rows("select * from tide.replays")),
    )


def judge(tide: Tide, found: list[tuple[bytes | None, int]], published: list[int]) -> None:
    """Every copy is there, each key's first ones in order; the counts are those of messages."""
    assert sorted({message_id for _, message_id in found}) == published
    for key in {key for key, _ in found}:
        of_key = first_occurrences([message_id for other, message_id in found if other == key])
        assert of_key == sorted(of_key)
    (row,) = tide.rows("select selected, sent, failed, left_out, gone from tide.replays")
    assert tuple(row) == (MESSAGES, MESSAGES, 0, 0, 0)


@pytest.mark.parametrize("place", ["before_replay_settle", "after_replay_settle"])
def test_a_relay_killed_in_a_replay_is_followed_near_where_it_was_without_a_gap(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, place: str
) -> None:
    """Only what its last settle did not reach is sent twice; the cursor's way is left alone."""
    topic, elsewhere = make_topic(), make_topic(partitions=3)
    published = publish(tide, topic)
    doomed = start_relay(tide.dsn, *FAST, env={"PG_TIDE_FAILPOINTS": f"{place}=kill@3"})
    tide.until_settled()
    tide.value(ASK, elsewhere)
    eventually(lambda: doomed.exit_code is not None)
    sent = tide.value(SENT)
    assert 0 < sent < MESSAGES
    start_relay(tide.dsn, *FAST)
    until_done(tide)
    found = [(one.key, one.message_id) for one in records(read_topic(elsewhere))]
    judge(tide, found, published)
    repeated = {message_id for _, message_id in found if found.count((_, message_id)) > 1}
    assert all(message_id > published[sent - 1] for message_id in repeated)
    assert len(read_topic(topic)) == MESSAGES


def test_connections_to_the_database_that_break_in_a_replay_cost_copies_and_no_gap(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The same relay goes on; live messages, too."""
    topic, elsewhere = make_topic(), make_topic(partitions=3)
    published = publish(tide, topic)
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    tide.value(ASK, elsewhere)
    for least in (1, 100, 200):
        eventually(lambda least=least: tide.value(SENT) >= least)  # type: ignore[misc]
        tide.rows(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    live = tide.publish_many(50)
    until_done(tide)
    tide.until_settled()
    judge(tide, [(one.key, one.message_id) for one in records(read_topic(elsewhere))], published)
    delivered = {one.message_id for one in records(read_topic(topic))}
    assert delivered == {*published, *live}


def test_a_relay_killed_in_a_replay_of_a_pipeline_that_delivers_exactly_once_repeats_no_copy(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What it had committed and not written down is told by Kafka."""
    topic, elsewhere = make_topic(), make_topic()
    published = publish(tide, topic, delivery="exactly_once")
    doomed = start_relay(tide.dsn, *FAST, env={"PG_TIDE_FAILPOINTS": "before_replay_settle=kill@4"})
    tide.until_settled()
    tide.value(ASK, elsewhere)
    eventually(lambda: doomed.exit_code is not None)
    start_relay(tide.dsn, *FAST)
    until_done(tide)
    found = [(one.key, one.message_id) for one in records(read_topic(elsewhere))]
    assert [message_id for _, message_id in found] == published
    judge(tide, found, published)
