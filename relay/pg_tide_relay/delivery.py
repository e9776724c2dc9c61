"""Delivers the batches of one pipeline to Kafka: at least once, in order per key, never past a message.

The producer may keep many requests in flight because the first refused batch is fatal to it (gapless
guarantee): nothing handed over behind is written before it. Then the producer is emptied and closed, a new
one built, and everything without an outcome handed over again from the first such message, the suspects alone
and awaited. Where that guard does not exist (acks 0 and 1) one batch is on its way at a time.

An absent cluster is no reason for any of this: the same producer waits and sends everything once.
"""

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaException

from pg_tide_relay import failpoints
from pg_tide_relay.backoff import Backoff
from pg_tide_relay.checks import NOTHING_AHEAD, Ahead, checks_of
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.templates import placeholders
from pg_tide_relay.contact import Contact
from pg_tide_relay.dead_letters import Undelivered
from pg_tide_relay.delivery_limits import DeliveryLimits, ProducerFactory
from pg_tide_relay.delivery_state import DeliveryState, Log, Status, Trouble
from pg_tide_relay.encode import Shape
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.hand_over import Allowed, HandOver
from pg_tide_relay.kafka_config import BATCH_BYTES, BATCH_BYTES_MIN, is_guarded, producer_properties
from pg_tide_relay.kafka_cursor import Mark
from pg_tide_relay.produce import ProducerEvent, RecordProducer
from pg_tide_relay.producer_end import ProducerEnd
from pg_tide_relay.recovery import Failure, Judgement, judge, mark_suspects
from pg_tide_relay.window import Batch, DeadLetter, Settled, Window

# How long a wait for reports may keep the answer about a topic or a schema waiting.
_CHECK_STEP_S = 0.005
_DRAIN_STEP_S = 0.05


class Delivery:
    """The window of batches in flight of one pipeline. For one thread, which it never blocks for long."""

    def __init__(
        self,
        config: PipelineConfig,
        pipeline: str,
        shape: Shape,
        *,
        log: Log,
        ahead: Ahead = NOTHING_AHEAD,
        limits: DeliveryLimits | None = None,
        producer_factory: ProducerFactory = RecordProducer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing connects before ``resume``, or the first batch. ``ahead``: what is checked before."""
        self._config = config
        self._pipeline = pipeline
        self._shape = shape
        self._log = log
        self._limits = limits or DeliveryLimits()
        self._factory = producer_factory
        self._clock = clock
        self._topic_is_template = bool(placeholders(config.topic) - {"stream_table"} or config.routing.rules)
        self._status = Status(log)
        self.undelivered = Undelivered(config.dlq)
        """Decides about messages that can't be delivered; knows the keys that are parked."""
        self._window = Window()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"delivery-{pipeline}")
        self._checks = checks_of(config, pipeline, self._worker, clock, ahead)
        self._patience_s = config.request_timeout_ms / 1000
        self._contact = Contact(self._status, clock, self._patience_s, config.brokers)
        self._failures: list[Failure] = []  # reports of this producer that name an error
        self._fatal_events: list[ProducerEvent] = []
        self._backoff = Backoff(config.retry)
        self._replaced = False  # a fatal producer was replaced and nothing was acknowledged since
        self._guarded = is_guarded(config)
        self._batch_bytes = BATCH_BYTES
        self._producer: RecordProducer | None = None
        self._hand_over: HandOver | None = None
        self._ending: ProducerEnd | None = None
        self._paused_until = clock()
        self._stopped_by: Trouble | None = None
        self._held = self._connect_ahead = self._forgetting = False
        self._discarding = False  # this producer's last reports decide nothing
        self.deadline: float | None = None
        """The lease's end by ``clock``; from then on nothing is handed over. None: no limit."""
        self.lost: Trouble | None = None
        """Why only Kafka knows what was delivered: the cursor must be read again. None: that is known here."""
        self.buried: Collection[tuple[int, int]] = ()
        """Messages, by id and time, that have open dead letters; for deliveries that don't send those again."""

    @property
    def state(self) -> DeliveryState:
        """What this delivery is doing, and why."""
        return self._status.state

    @property
    def can_accept(self) -> bool:
        """Whether ``submit`` may be called."""
        return self.room > 0

    @property
    def room(self) -> int:
        """How many more batches may be asked for and submitted."""
        if self._status.is_last or self._forgetting or self._window.size_bytes >= self._limits.bytes:
            return 0
        return self._limits.batches - len(self._window)

    @property
    def idle(self) -> bool:
        """Whether every message submitted has an outcome and nothing is on its way."""
        return self._window.is_settled and self.outstanding == 0

    @property
    def outstanding(self) -> int:
        """Messages handed over without a report."""
        return 0 if self._producer is None else self._producer.outstanding()

    def untold(self) -> Iterator[DeadLetter]:
        """Dead letters that ``take_settled`` has not told of yet."""
        return self._window.letters()

    @property
    def is_ready(self) -> bool:
        """Whether ``submit`` may be called for the first time."""
        return True

    @property
    def mark(self) -> Mark | None:
        """How far Kafka says that the cursor has come; None: it does not say."""
        return None

    def prepare(self) -> None:
        """Do what ``is_ready`` waits for."""

    def submit(self, batch: Batch) -> None:
        """Take the next batch, ids above all before; hands over at once what can be."""
        self._window.append(batch)
        self._advance()

    def poll(self, timeout_s: float) -> None:
        """Serve reports, go on, hand over more; waits at most this long, and not at all where nothing is to come."""
        if not self._status.is_last:
            self._wait(timeout_s)
            self._advance()

    def take_settled(self) -> list[Settled]:
        """Complete batches from the oldest, then how far the first unfinished one is, if it moved."""
        return self._window.take_settled()

    def forget(self) -> None:
        """Drop all batches: what they were read with can't be trusted any more; the producer is kept.

        What it was given is awaited before ``can_accept`` is true again: then none comes behind a newer record.
        """
        self._stopped_by = None
        self._window.clear()
        self._checks.cancel()
        self._forgetting = True
        if self._hand_over is not None:
            self._hand_over.alone = self._hand_over.stopped_by = None

    def stop_handing_over(self) -> None:
        """Hand over nothing more; await what is on its way, and take back what the cluster does not let in."""
        self._held = True
        if self._contact.is_refused and self._producer is not None and self._ending is None:
            self._discarding = True
            self._give_up(self._producer)

    def resume(self) -> None:
        """Hand over again, from the first message without an outcome.

        Connects at once, and asks for the topic: the first message need not wait half a second for that, and
        what is wrong with the cluster or the topic is known before there is a message.
        """
        self._held = False
        self._connect_ahead = True

    def drain(self, timeout_s: float) -> bool:
        """Poll until all that may be handed over is settled; tell whether that was reached in time."""
        until = self._clock() + timeout_s
        while not self._is_drained() and not self._status.is_last and self._clock() < until:
            self.poll(min(_DRAIN_STEP_S, max(0.0, until - self._clock())))
        return self._is_drained()

    def abandon(self) -> None:
        """The lease is lost: take back what was handed over and close the connections before going on.

        What is still in the network may be written all the same. Hands over nothing until ``resume``.
        """
        self.stop_handing_over()
        self._discard_producer()

    def close(self) -> None:
        """End this delivery; what has no outcome by now is sent again by the next one."""
        self.abandon()
        self._worker.shutdown(wait=False)
        self._status.ended()

    def _wait(self, timeout_s: float) -> None:
        producer = self._producer
        if self._ending is not None:
            self._ending.wait(timeout_s)
        elif producer is None:
            time.sleep(min(timeout_s, max(0.0, self._paused_until - self._clock())))
        elif producer.outstanding() > 0:
            producer.poll(min(timeout_s, _CHECK_STEP_S) if self._checks.waiting else timeout_s)
        else:
            if self._checks.waiting:
                self._checks.wait(timeout_s)
            producer.poll(0)

    def _advance(self) -> None:
        if self._ending is not None:
            self._end_producer(self._ending)
        elif self._producer is not None or self._clock() >= self._paused_until:
            self._deliver()
        if self._ending is None and self.outstanding == 0:
            self._forgetting = False
            if self.idle and not self._checks.waiting:
                self._contact.nothing_to_do()
                if self._contact.is_refused and self._is_open():
                    self._checks.topics.ask_again()

    def _deliver(self) -> None:
        if self._producer is None or self._hand_over is None:
            is_wanted = self._connect_ahead or next(self._window.to_hand_over(), None) is not None
            if self._is_open() and is_wanted and self._build():
                self._deliver()
            return
        self._take_events(self._producer)
        is_stuck = self._checks.is_stuck(self._hand_over.count, self._producer.outstanding())
        if is_stuck:
            self._log.warning("producer_stuck", cause="the leaders answer others: a new producer takes over")
        if self._failures or self._producer.fatal or is_stuck:
            self._give_up(self._producer)
            return
        if self._contact.notice(self._hand_over.count, self._producer.outstanding()):
            failpoints.hit("on_acknowledgement")
            self._backoff.reset()
            self._replaced = False
            if not self._checks.waiting:
                self._contact.acknowledged()
        if self._hand_over.stopped_by is not None and self._producer.outstanding() == 0:
            self._give_up(self._producer, self._hand_over.stopped_by)
            return
        self._check(self._producer)
        self._hand_over.run()

    def _is_open(self) -> bool:
        return not self._held and (self.deadline is None or self._clock() < self.deadline)

    def _is_drained(self) -> bool:
        return self.outstanding == 0 if self._held else self.idle

    def _properties(self) -> dict[str, Any]:
        made = producer_properties(self._config, self._pipeline, guarded=self._guarded)
        return made | {"batch.size": self._batch_bytes}

    def _build(self) -> bool:
        try:
            self._producer = self._factory(self._properties(), self._log)
        except KafkaException as refused:
            error = refused.args[0]
            trouble = Trouble(error_class=ErrorClass.CONFIGURATION, code=error.name(), cause=error.str())
            self._paused_until = self._clock() + self._pause_for(trouble)
            return False
        self._hand_over = HandOver(
            producer=self._producer,
            window=self._window,
            checks=self._checks,
            shape=self._shape,
            failures=self._failures,
            undelivered=self.undelivered,
            pipelined=self._guarded,
            allowed=Allowed(self._is_open, self._limits.pace),
        )
        self._contact.begin()
        self._checks.begin()
        return True

    def _take_events(self, producer: RecordProducer) -> None:
        for event in producer.take_events():
            if event.fatal:
                self._fatal_events.append(event)
            else:
                self._contact.hear(event)

    def _check(self, producer: RecordProducer) -> None:
        waiting = self._checks.waiting
        trouble = self._checks.step(producer)
        if trouble is not None:
            self._contact.unanswered(trouble)
        elif waiting and not self._checks.waiting:
            self._contact.answered()

    def _give_up(self, producer: RecordProducer, stopped_by: Trouble | None = None) -> None:
        """This producer is past use, or a message stops the pipeline: let its requests be answered first."""
        self._stopped_by = stopped_by
        self._checks.cancel()
        self._ending = ProducerEnd(producer, self._worker, self._clock, self._patience_s)

    def _end_producer(self, ending: ProducerEnd) -> None:
        if self._producer is None or self._hand_over is None:
            return
        gone = ending.step()
        self._take_events(self._producer)
        if not gone:
            return
        hand_over, stopped_by = self._hand_over, self._stopped_by
        failures, events = self._failures[:], self._fatal_events[:]
        if self._discarding:
            failures, events, stopped_by = [], [], None
        self._ending = self._producer = self._hand_over = self._stopped_by = None
        self._discarding = False
        self._failures.clear()
        self._fatal_events.clear()
        if failures or events:
            judgement = judge(failures, events, hand_over.alone, topic_is_template=self._topic_is_template)
            self._start_again(judgement, failures, hand_over)
        elif stopped_by is not None:
            self._stop(stopped_by)
        else:
            self._window.restart(repeat_delivered=not self._guarded)

    def _stop(self, trouble: Trouble) -> None:
        self._contact.refused(trouble)
        self._worker.shutdown(wait=False)

    def _start_again(self, judgement: Judgement, failures: list[Failure], before: HandOver) -> None:
        """Decide how to go on from what the reports of the old producer say."""
        trouble = judgement.trouble
        stopped_by = trouble if trouble.error_class is ErrorClass.FENCED else None
        if judgement.is_final and before.alone is not None:
            batch, place = before.alone
            key = before.ordering_key(batch.rows[place])
            stopped_by = self.undelivered.bury(batch, place, trouble, key)
        if stopped_by is not None:
            self._stop(stopped_by)
            return
        pause_s, was_guarded = 0.0, self._guarded
        suspects = mark_suspects(failures, topic_is_template=self._topic_is_template)
        if trouble.error_class is ErrorClass.MESSAGE:
            if judgement.too_large and suspects > 1:
                self._batch_bytes = max(BATCH_BYTES_MIN, self._batch_bytes // 2)
        elif self._may_do_without_idempotence(trouble):
            self._guarded = False
        else:
            self._guarded = is_guarded(self._config)
            pause_s = self._pause_after(trouble)
        self._log.warning(
            "delivery_resumes",
            error_class=str(trouble.error_class),
            error_code=trouble.code,
            cause=trouble.cause,
            topic=trouble.topic,
            suspects=suspects,
            pipelined=self._guarded,
            pause_s=pause_s,
        )
        self._window.restart(repeat_delivered=not was_guarded)
        self._paused_until = self._clock() + pause_s

    def _pause_after(self, trouble: Trouble) -> float:
        """The pause before the next producer; the first fatal error of an otherwise good one costs none."""
        if trouble.topic is not None and trouble.error_class is ErrorClass.DESTINATION:
            self._checks.topics.forget(trouble.topic)
        if trouble.error_class in (ErrorClass.FATAL_PRODUCER, ErrorClass.RESEND) and not self._replaced:
            self._replaced = True
            return 0.0
        return self._pause_for(trouble)

    def _pause_for(self, trouble: Trouble) -> float:
        pause_s = self._backoff.next_s()
        self._contact.refused(replace(trouble, attempts=self._backoff.attempts, pause_s=pause_s))
        return pause_s

    def _may_do_without_idempotence(self, trouble: Trouble) -> bool:
        return (
            trouble.code == "CLUSTER_AUTHORIZATION_FAILED" and self._guarded and not self._config.idempotent
        )

    def _discard_producer(self) -> None:
        """Take back what can be taken back, close the connections, wait for that a little."""
        if self._producer is None:
            return
        self._discarding = True
        if self._ending is None:
            self._ending = ProducerEnd(self._producer, self._worker, self._clock, 0.0)
        self._ending.hurry()
        until = self._clock() + self._limits.close_s
        self._advance()
        while self._ending is not None and self._clock() < until:
            self._ending.wait(until - self._clock())
            self._advance()
