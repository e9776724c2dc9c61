"""Delivery by a relay that speaks to PostgreSQL through a transaction pooler."""

from collections.abc import Iterator

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from pooler import Pooler
from relay_kit import Tide, difference, ids

WINDOWS = 10
TRANSACTIONS = 4  # in each window
MESSAGES = 50  # in each transaction
BATCH = 30


@pytest.fixture
def pooler(tide: Tide) -> Iterator[Pooler]:
    with Pooler(tide.dsn) as opened:
        yield opened


def test_a_relay_behind_a_pooler_loses_repeats_and_reorders_nothing(
    tide: Tide, pooler: Pooler, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """2,000 messages; each window and page on another server connection, with a publisher open all the while."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic, batch_size=BATCH)
    relay = start_relay(pooler.dsn)
    relay.wait_for("pipeline_acquired")
    expected: list[int] = []
    publish = "select tide.outbox_publish('orders', '{}', key => 'one')"
    with tide.another_connection() as straggler, straggler.transaction():
        late = [straggler.execute(publish).fetchall()[0][0] for _ in range(2 * BATCH)]
        for _ in range(WINDOWS):
            expected += [n for _ in range(TRANSACTIONS) for n in tide.publish_many(MESSAGES, key="one")]
            tide.until_settled()
    expected += late
    tide.until_settled()
    expected += tide.publish_many(MESSAGES, key="one")
    tide.until_settled()
    assert relay.terminate() == 0

    assert late[0] < expected[0]
    assert difference(ids(read_topic(topic, len(expected))), expected) == ""
    assert len(pooler.transactions) == 3
    assert min(pooler.transactions.values()) > WINDOWS
    told = {line["event"] for line in relay.lines() if line["level"] not in ("debug", "info")}
    assert (told, len(relay.lines("pipeline_acquired"))) == (set(), 1)
