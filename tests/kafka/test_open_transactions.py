"""An administrator's transaction that stays open: its own pipeline waits, no other one does."""

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import FAST, Tide, difference, first_occurrences, ids
from waiting import eventually, for_all_of

LOCKED = "locked"
OTHER = "other"


@pytest.mark.parametrize(
    "statement",
    [
        f"select tide.group_rewind('{LOCKED}', '{LOCKED}', to_id => 0)",
        f"select tide.group_skip('{LOCKED}', '{LOCKED}')",
        f"select tide.group_rebase('{LOCKED}', '{LOCKED}')",
        f"select tide.relay_disable('{LOCKED}')",
        f"select tide.relay_drop('{LOCKED}')",
        "lock table {table}",
    ],
)
def test_a_transaction_left_open_on_one_pipeline_stops_no_other(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, statement: str
) -> None:
    """For longer than a lease: the relay's one writing and one reading connection never wait for that one for long."""
    topics = {name: make_topic() for name in (LOCKED, OTHER)}
    for name, topic in topics.items():
        tide.outbox(name)
        tide.pipeline(topic, name=name, outbox=name, request_timeout_ms=1_000)
    relay = start_relay(tide.dsn, *FAST)
    published = {name: [tide.publish(outbox=name)] for name in topics}
    tide.until_settled(*topics)
    table = tide.value("select message_table from tide.outboxes where outbox = %s", LOCKED)

    with tide.another_connection() as administrator:
        administrator.execute("begin")
        administrator.execute(statement.replace("{table}", table))
        if "lock table" not in statement:
            published[LOCKED].append(tide.publish(outbox=LOCKED))

        def another_is_delivered() -> bool:
            published[OTHER].append(tide.publish(outbox=OTHER))
            eventually(lambda: tide.pending(OTHER) == 0, within=1.0)
            return True

        for_all_of(2.0, another_is_delivered)
        administrator.execute("rollback")

    published[LOCKED].append(tide.publish(outbox=LOCKED))
    tide.until_settled(*topics)
    assert relay.lines("pipeline_acquired", pipeline=OTHER)[1:] == []
    for name, topic in topics.items():
        assert (
            difference(first_occurrences(ids(read_topic(topic, len(published[name])))), published[name]) == ""
        )
