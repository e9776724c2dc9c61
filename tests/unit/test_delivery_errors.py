"""What errors lead to that no real broker gives on demand: a producer that answers as told."""

import time
from collections.abc import Mapping
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError

from delivery_kit import STOP, Driver, a_config, a_row
from pg_tide_relay.config.pace_models import RetryConfig
from pg_tide_relay.encode import Record
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_errors import classify
from pg_tide_relay.message import Row
from pg_tide_relay.produce import DebugLog, ProducerEvent, RecordProducer


class _Report:
    def topic(self) -> str:
        return "orders"


class ScriptedProducer(RecordProducer):
    """Answers each message, in the order of handing over, with the next error of a script; then with success."""

    script: list[KafkaError | None]
    built: int
    sent: list[
        list[int]
    ]  # the ids that were on their way together, one list for each time reports were served

    def __init__(self, _properties: Mapping[str, Any], _log: DebugLog) -> None:
        type(self).built += 1
        self._events: list[ProducerEvent] = []
        self._fatal = False
        self._waiting: list[tuple[int, Any]] = []
        self.produce = self._take  # type: ignore[assignment]

    def _take(self, *arguments: Any) -> None:
        message_id = int(dict(arguments[7])["pg_tide_id"])
        self._waiting.append((message_id, arguments[4]))

    def outstanding(self) -> int:
        return len(self._waiting)

    def poll(self, timeout_s: float) -> None:
        if timeout_s == 0:
            return
        waiting, self._waiting = self._waiting, []
        if waiting:
            self.sent.append([message_id for message_id, _ in waiting])
        for _, on_report in waiting:
            on_report(self.script.pop(0) if self.script else None, _Report())

    def purge_queue(self) -> None:
        """Nothing waits."""

    def purge(self) -> None:
        """Nothing waits."""

    def look_up_topic(self, _topic: str, _timeout_s: float) -> int:
        return 1

    def close(self) -> None:
        """Nothing is open."""


def a_driver(*script: KafkaError | None, **keys: Any) -> tuple[Driver, type[ScriptedProducer]]:
    producers = type("Producers", (ScriptedProducer,), {"script": list(script), "built": 0, "sent": []})
    return Driver(a_config(**keys), producer_factory=producers), producers


def test_a_fenced_delivery_ends_and_builds_no_new_producer() -> None:
    """Another relay has taken over: a new producer would fence it in turn."""
    driver, producers = a_driver(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH))
    driver.submit(a_row(1), a_row(2))
    driver.run_until(lambda: driver.delivery.state.name is StateName.ENDED)
    assert driver.delivery.state.error_class is ErrorClass.FENCED
    driver.step()
    assert producers.built == 1
    driver.close()


def test_a_neighbours_fault_is_sent_again_without_suspicion() -> None:
    """`_INVALID_DIFFERENT_RECORD`: the message is innocent and is not sent alone."""
    driver, producers = a_driver(KafkaError(KafkaError._INVALID_DIFFERENT_RECORD))
    driver.submit(a_row(1), a_row(2), a_row(3))
    driver.run_until_settled(3)
    assert producers.built == 2
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()


def test_a_suspect_that_passes_alone_stops_nothing() -> None:
    """The verdict over a batch was about its neighbour."""
    driver, _ = a_driver(KafkaError(KafkaError.INVALID_RECORD))
    driver.submit(a_row(1), a_row(2), a_row(3))
    driver.run_until_settled(3)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()


def test_a_suspect_is_sent_when_nothing_else_is_on_its_way_and_nothing_follows_it() -> None:
    """Else its produce batch might hold a neighbour, and the verdict would not be its own."""
    taken_back, refused = KafkaError(KafkaError._PURGE_QUEUE), KafkaError(KafkaError.INVALID_RECORD)
    driver, producers = a_driver(taken_back, refused, refused, taken_back, taken_back)
    driver.submit(a_row(1), a_row(2), a_row(3), a_row(4), a_row(5))
    driver.run_until_settled(5)
    assert producers.sent == [[1, 2, 3, 4, 5], [1], [2], [3], [4, 5]]
    driver.close()


def test_with_a_guard_only_what_has_no_outcome_is_sent_again() -> None:
    """acks=all: nothing behind a refused message of its partition can have been written."""
    driver, producers = a_driver(KafkaError(KafkaError.INVALID_RECORD), None, None)
    driver.submit(a_row(1), a_row(2), a_row(3))
    driver.run_until_settled(3)
    assert producers.sent == [[1, 2, 3], [1]]
    driver.close()


def test_without_a_guard_what_was_written_behind_a_refused_message_is_sent_again_behind_it() -> None:
    """acks=1: it stands before its predecessor on the topic; the last record of a key must be its newest."""
    driver, producers = a_driver(None, KafkaError(KafkaError.INVALID_RECORD), None, None, acks="1")
    driver.submit(a_row(1), a_row(2), a_row(3), a_row(4))
    driver.run_until_settled(4)
    assert producers.sent == [[1, 2, 3, 4], [2], [3, 4]]
    driver.close()


def test_a_suspect_that_fails_alone_stops_the_pipeline_with_its_id() -> None:
    """One lone attempt, no more."""
    refusal = KafkaError(KafkaError.INVALID_RECORD)
    driver, producers = a_driver(refusal, refusal, refusal, dlq=STOP)
    driver.submit(a_row(5), a_row(6))
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    assert driver.delivery.state.message_id == 5
    assert producers.built == 2
    assert driver.settled_id < 5
    driver.close()


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, StateName.BACKING_OFF),
        (KafkaError.UNSUPPORTED_COMPRESSION_TYPE, StateName.ERROR),
        (KafkaError.NOT_ENOUGH_REPLICAS, StateName.BACKING_OFF),
        (KafkaError.UNKNOWN, StateName.BACKING_OFF),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, StateName.ERROR),
    ],
)
def test_an_error_that_is_not_the_messages_is_tried_again_until_it_passes(
    code: int, state: StateName
) -> None:
    """Whatever it was, the message is not blamed, not skipped, and delivered once the error is gone."""
    driver, _ = a_driver(KafkaError(code), idempotent=True)
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.name is state)
    assert driver.delivery.state.error_class is classify(KafkaError(code))
    assert driver.settled_id == 0
    driver.run_until_settled(1)
    driver.run_until(lambda: driver.delivery.state.name is StateName.RUNNING)
    driver.close()


def test_each_attempt_is_counted_in_the_state_until_one_passes() -> None:
    """The first and the longest pause are the configuration's; progress forgets the attempts."""
    refused = [KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)] * 3
    driver, _ = a_driver(*refused, retry=RetryConfig(backoff_ms=100, backoff_max_ms=100))
    seen: list[tuple[int | None, bool]] = []

    def is_settled() -> bool:
        state = driver.delivery.state
        found = state.attempts, state.next_attempt_at is not None
        if found not in seen:
            seen.append(found)
        return driver.settled_id == 1

    driver.submit(a_row(1))
    began = time.monotonic()
    driver.run_until(is_settled)
    assert 3 * 0.05 <= time.monotonic() - began < 5
    driver.run_until(lambda: driver.delivery.state.name is StateName.RUNNING)
    assert [found for found in seen if found[0]] == [(1, True), (2, True), (3, True)]
    assert (driver.delivery.state.attempts, driver.delivery.state.next_attempt_at) == (None, None)
    driver.close()


def test_a_defect_of_the_relay_stops_the_pipeline_at_its_message_and_not_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All other pipelines go on; what is before the message is delivered, nothing behind it is sent."""
    driver, producers = a_driver(dlq=STOP)
    shape = driver.delivery._shape

    def defective(row: Row) -> Record | None:
        return shape(row) if row[0] != 2 else cast(Record, row[0] / 0)

    monkeypatch.setattr(driver.delivery, "_shape", defective)
    driver.submit(a_row(1, key=b"A"), a_row(2, key=b"A"), a_row(3, key=b"A"))
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    assert driver.delivery.state.message_id == 2
    assert "report it, please: ZeroDivisionError: division by zero" in (driver.delivery.state.cause or "")
    assert driver.settled_id == 1
    assert producers.sent == [[1]]


def test_after_a_refusal_for_size_produce_batches_are_halved() -> None:
    """Else a topic with a small limit would refuse every batch, and each message would be sent alone."""
    refusal = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)
    built: list[Mapping[str, Any]] = []
    _, producers = a_driver()
    producers.script = [refusal, refusal]

    def factory(properties: Mapping[str, Any], log: DebugLog) -> RecordProducer:
        built.append(properties)
        return producers(properties, log)

    driver = Driver(a_config(), producer_factory=factory)
    driver.submit(a_row(1), a_row(2))
    driver.run_until_settled(2)
    assert [properties["batch.size"] for properties in built] == [1_000_000, 500_000]
    driver.close()
