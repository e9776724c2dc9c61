"""Hands the window's messages to one producer, in id order: the loop that runs once per message."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay import failpoints
from pg_tide_relay.checks import Checks
from pg_tide_relay.dead_letters import Undelivered, key_of_message
from pg_tide_relay.delivery_state import Trouble, trouble_of
from pg_tide_relay.encode import Record, Shape
from pg_tide_relay.errors import ErrorClass, MessageError
from pg_tide_relay.gate import Gate, OnReport
from pg_tide_relay.kafka_errors import classify
from pg_tide_relay.message import Row
from pg_tide_relay.pace import Pace
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.recovery import Failure, both_of, reporter
from pg_tide_relay.schemas import SchemaWanted
from pg_tide_relay.window import Batch, Outcome, Window

# Between two looks at reports, failures and the clock.
_CHUNK = 500

# A template with {outbox_id} makes a topic for every message.
_GATES_MAX = 10_000


class Allowed(NamedTuple):
    """What may be handed over now."""

    is_open: Callable[[], bool]  # anything at all
    pace: Pace | None = None  # how much; None: all


class HandOver:
    """What one producer was given; a new producer gets a new one.

    Stops at the first message that can't be handed over now and goes on from there when called again:
    nothing ever overtakes.
    """

    def __init__(
        self,
        *,
        producer: RecordProducer,
        window: Window,
        checks: Checks,
        shape: Shape,
        failures: list[Failure],
        undelivered: Undelivered,
        pipelined: bool,
        allowed: Allowed,
    ) -> None:
        """``pipelined=False``: one batch at a time, awaited."""
        self._producer = producer
        self._window = window
        self._checks = checks
        self._topics = checks.topics
        self._shape = shape
        self._failures = failures
        self._undelivered = undelivered
        self._pipelined = pipelined
        self._is_open, self._pace = allowed
        self._gates: dict[str, Gate] = {}
        # A message whose first record of two is handed over, and what takes the reports of both.
        self._begun: tuple[Batch, int, OnReport] | None = None
        self.is_ungated = not pipelined
        """Whether nothing has to be proven of a partition before it is given more than one record."""
        self.is_quiet: Callable[[], bool] = lambda: producer.outstanding() == 0
        """Whether a suspect may go: nothing else is on its way."""
        self.count = 0
        """Records handed over."""
        self.alone: tuple[Batch, int] | None = None
        """The suspect that is on its way by itself."""
        self.stopped_by: Trouble | None = None
        """A message that can't be delivered and may not be passed; nothing behind it is handed over."""

    def begin_again(self) -> None:
        """What was handed over was taken back, by the same producer."""
        self.alone = self._begun = None

    @property
    def is_at_suspect(self) -> bool:
        """Whether the next message has to go alone."""
        batch = next(self._window.to_hand_over(), None)
        return batch is not None and batch.next in batch.suspects

    def run(self) -> None:
        """Hand over as much as may be handed over now; returns without waiting for anything."""
        for batch in list(self._window.to_hand_over()):
            if not self._pipelined and not self._window.is_first_open(batch):
                return
            if not self._hand_over(batch):
                return

    def _hand_over(self, batch: Batch) -> bool:
        """Tell whether the whole batch is handed over."""
        if batch.next == 0:
            failpoints.hit("before_hand_over")
        while not batch.is_handed_over:
            if self.stopped_by or self._failures or self._producer.fatal or not self._is_open():
                return False
            chunk = _CHUNK if self._pace is None else min(_CHUNK, self._pace.available())
            if chunk < 1:
                return False
            suspect, before = batch.next_suspect(), self.count
            if batch.next < suspect:
                went_on = self._hand_over_many(batch, min(suspect, batch.next + chunk))
            else:
                went_on = self._hand_over_alone(batch)
            if self._pace is not None:
                self._pace.take(self.count - before)
            if not went_on:
                return False
            self._producer.poll(0)
        failpoints.hit("after_hand_over")
        return True

    def _hand_over_alone(self, batch: Batch) -> bool:
        """A suspect: nothing else is on its way while it is, and nothing follows before it is delivered."""
        place = batch.next
        if batch.outcomes[place] != Outcome.UNSETTLED:
            self.alone = None
            batch.suspects.discard(place)
            batch.next = place + 1
            return True
        if self._has_begun(batch, place) or (self.alone is None and self.is_quiet()):
            went_on = self._hand_over_many(batch, place + 1)
            # Of two records the first may be refused before the second can go.
            is_on_its_way = went_on or self._has_begun(batch, place)
            if is_on_its_way and batch.outcomes[place] == Outcome.UNSETTLED:
                self.alone = (batch, place)
            batch.next = place
        return False

    def _hand_over_many(self, batch: Batch, stop: int) -> bool:
        """Messages up to ``stop``, but those that have an outcome; tell whether all went."""
        while batch.next < stop:
            bad = None
            try:
                self._produce(batch, stop)
            except BufferError:
                pass  # the client's queue is full; reports make room
            except SchemaWanted as unknown:
                self._checks.want_schema(unknown.question)
            except MessageError as error:
                bad = error
            except KafkaException as refused:
                bad = self._refused(refused.args[0], batch)
            except Exception as defect:  # noqa: BLE001  (one message must not end all pipelines of the process)
                said = f"{type(defect).__name__}: {defect}"
                cause = f"a defect of the relay, not of the message; report it, please: {said}"
                bad = MessageError(batch.id_at(batch.next), cause)
            if bad is None or not self._pass_over(bad, batch):
                break
        return batch.next == stop

    def _pass_over(self, bad: MessageError, batch: Batch) -> bool:
        """A message that no broker has seen: the verdict is final. Tell whether the next one may go."""
        place, undelivered = batch.next, self._undelivered
        key = self.ordering_key(batch.rows[place])
        if key is not None and key in undelivered.parked:
            undelivered.park(batch, place, key)
        else:
            self.stopped_by = undelivered.bury(batch, place, trouble_of(bad), key)
        if self.stopped_by is None:
            self._begun = None
            batch.next = place + 1
        return self.stopped_by is None

    def ordering_key(self, row: Row) -> bytes | None:
        """The record's key; where it can't be computed the message's key, else its dedup key."""
        try:
            record = self._shape(row)
        except Exception:  # noqa: BLE001  (whatever it is, it was told already)
            return key_of_message(row)
        return key_of_message(row) if record is None else record.key

    def _produce(self, batch: Batch, stop: int) -> None:
        """Go on with ``batch.next``, which is afterwards the first message that did not go."""
        # Locals: this loop is most of what the relay's one busy thread does.
        rows, outcomes, shape, produce = batch.rows, batch.outcomes, self._shape, self._producer.produce
        on_report = reporter(batch, self._failures)
        start = place = batch.next
        checked, gate, skipped = None, None, 0
        parked = self._undelivered.parked
        try:
            for place in range(start, stop):
                if outcomes[place]:
                    skipped += 1
                    continue
                record = shape(rows[place])
                if record is None or (parked and record.key in parked):
                    self._skip(batch, place, record)
                    skipped += 1
                    continue
                topic, key, value, headers, timestamp_ms, tombstone_follows = record
                if topic is not checked:
                    gate, checked = self._gate_of(topic), topic
                if gate is None:
                    break
                if tombstone_follows:
                    if not self._pass_both(gate, record, batch, place, on_report):
                        break
                elif gate.is_open or key is None:
                    produce(topic, value, key, -1, partial(on_report, place), None, timestamp_ms, headers)
                elif not self._pass(gate, record, place, on_report):
                    break
            else:
                place = stop
        finally:
            self.count += place - start - skipped
            batch.next = place

    def _skip(self, batch: Batch, place: int, record: Record | None) -> None:
        if record is None:
            batch.outcomes[place] = Outcome.FILTERED
        elif record.key is not None:
            self._undelivered.park(batch, place, record.key)

    def _gate_of(self, topic: str) -> Gate | None:
        """None while the topic is not known to be there."""
        partitions = self._topics.ready.get(topic)
        if partitions is None:
            self._topics.want(topic)
            return None
        gate = self._gates.get(topic)
        if gate is None:
            if len(self._gates) >= _GATES_MAX and self._producer.outstanding() == 0:
                self._gates.clear()
            gate = self._gates[topic] = Gate(partitions, is_open=self.is_ungated)
        return gate

    def _pass_both(self, gate: Gate, record: Record, batch: Batch, place: int, on_report: OnReport) -> bool:
        """A record and its tombstone: both must be acknowledged. False: one has to wait.

        The client's queue may be full between the two; the first is not handed over again.
        """
        begun = self._begun
        if begun is None or not self._has_begun(batch, place):
            on_report = both_of(on_report)
            if not self._pass(gate, record, place, on_report):
                return False
            self.count += 1
            begun = self._begun = batch, place, on_report
        if not self._pass(gate, record._replace(value=None), place, begun[2]):
            return False
        self._begun = None
        return True

    def _has_begun(self, batch: Batch, place: int) -> bool:
        return self._begun is not None and self._begun[0] is batch and self._begun[1] == place

    def _pass(self, gate: Gate, record: Record, place: int, on_report: OnReport) -> bool:
        """A record with a key; False: some partition has acknowledged nothing, and it has to wait."""
        topic, key, value, headers, timestamp_ms, _ = record
        if gate.is_open:
            self._producer.produce(
                topic, value, key, -1, partial(on_report, place), None, timestamp_ms, headers
            )
            return True
        partition = gate.partition_of(key or b"")
        is_first = gate.is_closed(partition)
        if is_first:
            if gate.is_awaited(partition):
                return False
            on_report = gate.first(partition, on_report)
        self._producer.produce(topic, value, key, -1, partial(on_report, place), None, timestamp_ms, headers)
        if is_first:
            gate.await_first(partition)
        return True

    def _refused(self, error: KafkaError, batch: Batch) -> MessageError | None:
        """The client refuses a message by itself: no neighbour is to blame, so a verdict about it is final."""
        record = self._shape(batch.rows[batch.next])
        topic = "" if record is None else record.topic
        error_class = classify(error)
        if error_class is ErrorClass.DESTINATION:
            self._topics.forget(topic)
            self._topics.want(topic)
        elif error_class is ErrorClass.FATAL_PRODUCER:
            self._producer.note_fatal(error)
        else:
            return MessageError(batch.id_at(batch.next), error.str(), code=error.name(), topic=topic)
        return None
