"""Hands the window's messages to one producer, in id order: the loop that runs once per message."""

from collections.abc import Callable
from functools import partial

from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay import failpoints
from pg_tide_relay.encode import Shape
from pg_tide_relay.errors import ErrorClass, MessageError
from pg_tide_relay.kafka_errors import classify
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.recovery import Failure, reporter
from pg_tide_relay.topics import TopicChecks
from pg_tide_relay.window import Batch, Outcome, Window

# Between two looks at reports, failures and the clock.
_CHUNK = 500


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
        topics: TopicChecks,
        shape: Shape,
        failures: list[Failure],
        pipelined: bool,
        is_open: Callable[[], bool],
    ) -> None:
        """``pipelined=False``: one batch at a time, awaited. ``is_open``: may anything be handed over now."""
        self._producer = producer
        self._window = window
        self._topics = topics
        self._shape = shape
        self._failures = failures
        self._pipelined = pipelined
        self._is_open = is_open
        self.count = 0
        """Messages handed over."""
        self.alone: tuple[Batch, int] | None = None
        """The suspect that is on its way by itself."""
        self.bad: MessageError | None = None
        """The message that can't be handed over at all; nothing behind it is."""

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
            if self.bad or self._failures or self._producer.fatal or not self._is_open():
                return False
            suspect = batch.next_suspect()
            if batch.next < suspect:
                went_on = self._hand_over_many(batch, min(suspect, batch.next + _CHUNK))
            else:
                went_on = self._hand_over_alone(batch)
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
        if self.alone is None and self._producer.outstanding() == 0:
            went_on = self._hand_over_many(batch, place + 1)
            if went_on and batch.outcomes[place] == Outcome.UNSETTLED:
                self.alone = (batch, place)
            batch.next = place
        return False

    def _hand_over_many(self, batch: Batch, stop: int) -> bool:
        """Messages up to ``stop``, but those that have an outcome; tell whether all went."""
        # Locals: this loop is most of what the relay's one busy thread does.
        rows, outcomes, shape = batch.rows, batch.outcomes, self._shape
        produce, ready = self._producer.produce, self._topics.ready
        on_report = reporter(batch, self._failures)
        checked, topic, place, skipped = None, "", batch.next, 0
        start, refusal = place, None
        try:
            for place in range(start, stop):
                if outcomes[place]:
                    skipped += 1
                    continue
                record = shape(rows[place])
                if record is None:
                    outcomes[place] = Outcome.FILTERED
                    skipped += 1
                    continue
                topic, key, value, headers, timestamp_ms = record
                if topic is not checked:
                    if topic not in ready:
                        self._topics.want(topic)
                        break
                    checked = topic
                produce(topic, value, key, -1, partial(on_report, place), None, timestamp_ms, headers)
            else:
                place = stop
        except BufferError:
            pass  # the client's queue is full; reports make room
        except MessageError as bad:
            self.bad = bad
        except KafkaException as refused:
            refusal = refused
        self.count += place - start - skipped
        batch.next = place
        if refusal is not None:
            self._refused(refusal.args[0], batch.id_at(place), topic)
        return place == stop

    def _refused(self, error: KafkaError, message_id: int, topic: str) -> None:
        """The client refuses a message by itself: no neighbour is to blame, so this verdict is final."""
        error_class = classify(error)
        if error_class is ErrorClass.DESTINATION:
            self._topics.forget(topic)
            self._topics.want(topic)
        elif error_class is ErrorClass.FATAL_PRODUCER:
            self._producer.note_fatal(error)
        else:
            self.bad = MessageError(message_id, error.str(), code=error.name(), topic=topic)
