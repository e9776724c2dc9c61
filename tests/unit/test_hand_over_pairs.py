"""A delete and its tombstone are two records of one message. The client is a stand-in whose queue can be full."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from delivery_kit import ORIGIN, a_config, a_row
from pg_tide_relay.checks import Checks
from pg_tide_relay.dead_letters import Undelivered
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.hand_over import Allowed, HandOver
from pg_tide_relay.recovery import Failure, mark_suspects
from pg_tide_relay.window import Batch, Outcome, Window

CONFIG = a_config(topic="t", wire_format="debezium")


class Report:
    """What a report says of its record."""

    def topic(self) -> str:
        return "t"


class Client:
    """Takes records while its queue has room."""

    fatal = False

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken: list[tuple[bytes | None, bool]] = []  # key, and whether there is a value
        self.reports: list[Callable[[KafkaError | None, Report], None]] = []

    def produce(
        self, _topic: str, value: Any, key: Any, _partition: int, on_report: Any, *_rest: Any
    ) -> None:
        if self.room == 0:
            raise BufferError
        self.room -= 1
        self.taken.append((key, value is not None))
        self.reports.append(on_report)

    def poll(self, timeout_s: float) -> None:
        """Reports are served by the tests."""

    def outstanding(self) -> int:
        return len(self.reports)


class Topics:
    """Every topic is there, with one partition."""

    ready = {"t": 1}  # noqa: RUF012

    def want(self, topic: str) -> None:
        raise AssertionError(topic)


def hand_over(client: Client, *, guarded: bool = False) -> tuple[HandOver, Batch, list[Failure]]:
    """Deletes of the keys a and b, and an insert behind them."""
    rows = [
        a_row(1, op=b"delete", key=b"a", payload=None, old_payload=b"{}"),
        a_row(2, op=b"delete", key=b"b", payload=None, old_payload=b"{}"),
        a_row(3, key=b"c"),
    ]
    window, failures = Window(), list[Failure]()
    batch = Batch(rows=rows, position=None)
    window.append(batch)
    made = HandOver(
        producer=client,  # type: ignore[arg-type]
        window=window,
        checks=Checks(Topics(), None, None),  # type: ignore[arg-type]
        shape=compile_shape(CONFIG, ORIGIN),
        failures=failures,
        undelivered=Undelivered(CONFIG.dlq),
        pipelined=guarded,
        allowed=Allowed(is_open=lambda: True),
    )
    return made, batch, failures


ALL = [(b"a", True), (b"a", False), (b"b", True), (b"b", False), (b"c", True)]


@pytest.mark.parametrize("room", range(6))
def test_a_full_queue_between_the_two_repeats_neither(room: int) -> None:
    """Wherever it is full: what follows is what was missing, once."""
    client = Client(room)
    made, batch, _ = hand_over(client)
    made.run()
    assert client.taken == ALL[:room]
    client.room = 10
    made.run()
    assert client.taken == ALL
    assert made.count == len(ALL)
    assert batch.is_handed_over


def test_a_message_is_delivered_with_its_second_record() -> None:
    client = Client(10)
    made, batch, _ = hand_over(client)
    made.run()
    client.reports[0](None, Report())
    assert batch.outcomes[0] == Outcome.UNSETTLED
    client.reports[1](None, Report())
    assert list(batch.outcomes) == [Outcome.DELIVERED, Outcome.UNSETTLED, Outcome.UNSETTLED]


def test_a_failure_of_either_is_the_messages() -> None:
    client = Client(10)
    made, batch, failures = hand_over(client)
    made.run()
    for place in (0, 3):
        client.reports[place](KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), Report())
    assert [failure.place for failure in failures] == [0, 1]
    assert not any(batch.outcomes)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("failed", [0, 1])
def test_a_message_is_not_delivered_when_one_of_two_failed_whichever_is_reported_last(
    order: tuple[int, int], failed: int
) -> None:
    client = Client(10)
    made, batch, failures = hand_over(client)
    made.run()
    for place in order:
        error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE) if place == failed else None
        client.reports[place](error, Report())
    assert batch.outcomes[0] == Outcome.UNSETTLED
    assert mark_suspects(failures, topic_is_template=False) == 1


def test_two_failed_records_are_one_suspect() -> None:
    client = Client(10)
    made, batch, failures = hand_over(client)
    made.run()
    for place in (0, 1):
        client.reports[place](KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), Report())
    assert mark_suspects(failures, topic_is_template=False) == 1
    assert batch.suspects == {0}


def test_a_suspect_is_alone_on_its_way_from_its_first_record_on() -> None:
    """Its tombstone waits for the partition; when the event is refused before, no other message is to blame."""
    client = Client(10)
    made, batch, _ = hand_over(client, guarded=True)
    batch.suspects.add(0)
    made.run()
    assert client.taken == ALL[:1]
    assert made.alone == (batch, 0)
    client.reports.pop(0)(None, Report())
    made.run()
    made.run()
    assert client.taken == ALL[:2]
    client.reports.pop(0)(None, Report())
    made.run()
    assert client.taken == ALL


def test_the_first_record_of_a_partition_is_awaited_and_its_tombstone_waits() -> None:
    """While a partition has acknowledged nothing, one record is on its way to it."""
    client = Client(10)
    made, _, _ = hand_over(client, guarded=True)
    made.run()
    made.run()
    assert client.taken == ALL[:1]
    client.reports[0](None, Report())
    made.run()
    assert client.taken == ALL
