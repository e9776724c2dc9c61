"""What tests of encoding and delivery need: rows, configurations, a log to read, a delivery to drive."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Message

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.delivery_limits import DeliveryLimits, ProducerFactory
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.message import POSTGRES_EPOCH_US, Row
from pg_tide_relay.pace import pace_of
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.window import Batch, DeadLetter
from pg_tide_relay.wire_types import Origin

ORIGIN = Origin(outbox="orders", database="shop")

STOP = {"on_error": "stop"}
"""A pipeline's dlq where a message that can't be delivered stops it."""

# Of today: a topic's retention deletes records whose timestamp is a week old.
CREATED_US = time.time_ns() // 1000


def a_row(
    message_id: int = 1,
    *,
    op: bytes = b"insert",
    key: bytes | None = None,
    dedup_key: bytes | None = None,
    payload: bytes | None = b"{}",
    old_payload: bytes | None = None,
    headers: bytes | None = None,
) -> Row:
    """A message as the relay reads it."""
    return (
        message_id,
        op,
        key,
        dedup_key,
        payload,
        old_payload,
        headers,
        CREATED_US + message_id - POSTGRES_EPOCH_US,
    )


def a_config(**keys: Any) -> PipelineConfig:
    """A pipeline's configuration; what is not given is the smallest that is valid."""
    return PipelineConfig(**{"sink_type": "kafka", "brokers": "127.0.0.1:1", "topic": "orders", **keys})


def ids(records: Sequence[Message]) -> list[int]:
    """The message ids of records, in their order."""
    return [int(header(record, "pg_tide_id")) for record in records]


def header(record: Message, name: str) -> bytes:
    """The value of a header that is there once."""
    (value,) = [value for found, value in list(record.headers() or []) if found == name]
    assert isinstance(value, bytes)
    return value


class RecordedLog:
    """A logger that keeps what it was told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def debug(self, event: str, /, **fields: object) -> None:
        self.lines.append(("debug", event, fields))

    def info(self, event: str, /, **fields: object) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, /, **fields: object) -> None:
        self.lines.append(("warning", event, fields))

    def events(self, level: str) -> list[str]:
        """The events of one level, in order."""
        return [event for found, event, _ in self.lines if found == level]


class Driver:
    """A delivery and what it has settled, driven as a pipeline drives it."""

    def __init__(
        self,
        config: PipelineConfig,
        *,
        producer_factory: ProducerFactory = RecordProducer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = RecordedLog()
        self.delivery = Delivery(
            config,
            "test",
            compile_shape(config, ORIGIN),
            log=self.log,
            producer_factory=producer_factory,
            limits=DeliveryLimits(pace=pace_of(config.rate_limit, clock)),
            clock=clock,
        )
        self.settled_id = 0
        self.complete: list[object] = []  # positions of complete batches
        self.letters: list[DeadLetter] = []  # that are settled

    def submit(self, *rows: Row, position: object = None) -> None:
        """One batch."""
        self.delivery.submit(Batch(rows=rows, position=position))

    def step(self, timeout_s: float = 0.05) -> None:
        """Poll once and note what is settled."""
        self.delivery.poll(timeout_s)
        self.take()

    def take(self) -> None:
        """Note what is settled."""
        for batch, up_to_id, letters in self.delivery.take_settled():
            self.letters += letters
            if up_to_id is None:
                self.complete.append(batch.position)
                self.settled_id = batch.rows[-1][0] if batch.rows else self.settled_id
            else:
                self.settled_id = up_to_id

    def run_until(self, condition: Callable[[], bool], timeout_s: float = 30) -> None:
        """Drive until the condition holds; the test fails when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not reached in {timeout_s} s; state {self.delivery.state}; {self.log.lines}")
            self.step()

    def run_until_settled(self, message_id: int, timeout_s: float = 30) -> None:
        """Drive until everything up to this message is settled."""
        self.run_until(lambda: self.settled_id >= message_id, timeout_s)

    def close(self) -> None:
        """End the delivery."""
        self.delivery.close()
