"""Dead letters, parked keys and redrives while relays die at each step: nothing lost, each key in order."""

import random

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from kafka.conftest import tide
from relay_kit import FAST, Tide, alter_topic, first_occurrences, records
from waiting import eventually

__all__ = ["tide"]

KEYS = 8
LARGE = {"x": "x" * 6000}
OPEN = "select count(*) from tide.dead_letters where state in ('dead', 'parked', 'redriving')"


def publish(tide: Tide, chance: random.Random, count: int, poison: float) -> dict[str, list[int]]:
    """Messages of some keys, now and then one that the topic refuses; the ids by key."""
    made: dict[str, list[int]] = {}
    for _ in range(count):
        key = f"k{chance.randrange(KEYS)}"
        payload = LARGE if chance.random() < poison else {"n": 1}
        made.setdefault(key, []).append(tide.publish(payload, key=key))
    return made


@pytest.mark.parametrize(
    "place",
    ["before_settle", "after_settle", "on_acknowledgement", "before_redrive_settle", "after_redrive_settle"],
)
def test_a_relay_killed_with_parked_keys_loses_and_reorders_nothing(
    tide: Tide,
    make_topic: MakeTopic,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    chance: random.Random,
    place: str,
) -> None:
    """Before the redrive, in it and while new messages of the keys arrive."""
    topic = make_topic(partitions=3, config={"max.message.bytes": "5000"})
    tide.outbox()
    tide.pipeline(topic, batch_size=20, request_timeout_ms=500, dlq={"on_error": "park_key"})
    expected = publish(tide, chance, 200, poison=0.03)
    doomed = start_relay(tide.dsn, *FAST, env={"PG_TIDE_FAILPOINTS": f"{place}=kill@2"})
    if "redrive" not in place:
        eventually(lambda: doomed.exit_code is not None)
        start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert tide.value(OPEN) > 0

    alter_topic(tide.bootstrap, topic, max_message_bytes="100000")
    for number in range(3):
        tide.rows("select * from tide.dlq_redrive('orders-to-kafka', everything => true)")
        for key, ids in publish(tide, chance, 20, poison=0.0).items():
            expected.setdefault(key, []).extend(ids)
        if "redrive" in place and number == 0:
            eventually(lambda: doomed.exit_code is not None)
            start_relay(tide.dsn, *FAST)
    tide.until_settled()
    eventually(
        lambda: tide.value(OPEN) == 0, why=lambda: str(tide.rows("select * from tide.dead_letter_counts"))
    )

    found: dict[str, list[int]] = {}
    for record in records(read_topic(topic)):
        found.setdefault((record.key or b"").decode(), []).append(record.message_id)
    assert {key: first_occurrences(ids) for key, ids in found.items()} == expected
