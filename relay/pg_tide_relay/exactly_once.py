"""Delivers the batches of one pipeline in transactions: readers of committed records see each message once.

Every transaction holds the position behind its last message (``kafka_cursor``); PostgreSQL is told when it is
committed. A message that can't be delivered is kept as a dead letter *before* the transaction that passes it: a crash
between the two leaves it in both places, and whoever goes on finds the dead letter and passes the message again.

What a broker refuses is taken back with its transaction, so nothing ever overtakes, and the producer lives on. When it
is not known whether a transaction was committed, only Kafka can tell: then this delivery is *lost*, the pipeline reads
its cursor again, and a new producer fences this one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from confluent_kafka import KafkaError

from pg_tide_relay import failpoints
from pg_tide_relay.cursor import Position
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.hand_over import HandOver
from pg_tide_relay.kafka_config import BATCH_BYTES_MIN, transactional_properties
from pg_tide_relay.kafka_cursor import KafkaCursor, Mark
from pg_tide_relay.kafka_errors import classify
from pg_tide_relay.produce import RecordProducer, TransactionalProducer
from pg_tide_relay.producer_end import ProducerEnd
from pg_tide_relay.recovery import judge, mark_suspects
from pg_tide_relay.transaction import Ended, Stage, Transactions
from pg_tide_relay.window import Batch, DeadLetter, Outcome, Settled

Keep = Callable[[Sequence[DeadLetter], Callable[[], None]], None]
"""Keeps dead letters durably, then says so."""

_PATIENCE_S: Final = 5.0
_STARTS_FOR: Final = 4
_STUCK: Final = Trouble(
    error_class=ErrorClass.CLUSTER_AWAY, cause="a transaction came no further: a new producer takes it back"
)
"""The client may wait for a coordinator that has died until the transaction's time is over: seen after a leader was
killed, for a minute. Here a new producer is no danger, because it fences the old one."""


class ExactlyOnceDelivery(Delivery):
    """As ``Delivery``, whose texts hold here too; what is handed over counts as outstanding until it is committed."""

    def __init__(self, *arguments: Any, transactional_id: str, keep: Keep, **more: Any) -> None:
        """``transactional_id`` is the cursor's alone, whoever drives it."""
        super().__init__(*arguments, **{"producer_factory": TransactionalProducer, **more})
        self._transactional_id = transactional_id
        self._keep = keep
        self._cursor = KafkaCursor(self._config, self._pipeline, transactional_id)
        self._interval_s = self._config.transactions.commit_interval_ms / 1000
        self._stuck_s = max(_PATIENCE_S, 2 * self._config.request_timeout_ms / 1000)
        self._moved_at = 0.0  # when a transaction last came further
        self._transactions: Transactions | None = None
        self._began = 0.0  # when the open transaction was given its first record
        self._uncommitted = False  # something was handed over, and it is not known to be committed
        self._keeping: object = None  # dead letters are being kept before the commit
        self._kept = False
        self._taken: list[Settled] = []  # committed, and not told of

    # -- what the pipeline asks and says -------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether no predecessor can write any more, and ``mark`` is what Kafka says."""
        return self._transactions is not None and (
            self._transactions.stage is Stage.READY
            or (self._transactions.stage is Stage.OPEN and not self._uncommitted)
        )

    @property
    def _newest(self) -> bytes | None:
        return None if self._transactions is None else self._transactions.newest

    @property
    def mark(self) -> Mark | None:
        """How far committed transactions have come; None: there is none."""
        return None if self._newest is None else Mark.from_value(self._newest)

    @property
    def room(self) -> int:
        """None before ``is_ready`` was true."""
        is_known = self._transactions is not None and self._transactions.stage is not Stage.STARTING
        return super().room if is_known and self.lost is None else 0

    @property
    def idle(self) -> bool:
        """Whether every message submitted is committed, or passed over."""
        return super().idle and self.is_ready and not self._taken

    @property
    def outstanding(self) -> int:
        """Messages handed over and not committed."""
        return max(super().outstanding, int(self._uncommitted))

    def prepare(self) -> None:
        """Fence predecessors and find out what they have committed; ``is_ready`` tells when that is done."""
        self.lost = None
        self._held = False
        self._connect_ahead = True
        self._advance()

    def take_settled(self) -> list[Settled]:
        """As far as it is committed."""
        taken, self._taken = self._taken, []
        return taken if self._uncommitted else taken + super().take_settled()

    def submit(self, batch: Batch) -> None:
        """Take the next batch; messages whose dead letters are open are passed over."""
        if self.buried:
            for place, row in enumerate(batch.rows):
                if (row[0], row[7]) in self.buried:
                    batch.outcomes[place] = Outcome.DEAD_LETTERED
        super().submit(batch)

    def forget(self) -> None:
        """Drop all batches, and take back what is not being committed."""
        super().forget()
        self._taken = []
        self._keeping = None

    # -- one step ------------------------------------------------------------------------------------

    def _wait(self, timeout_s: float) -> None:
        if self._ending is None and self._transactions is not None and self._transactions.is_waiting:
            self._transactions.wait(timeout_s)
            timeout_s = 0.0
        super()._wait(timeout_s)

    def _properties(self) -> dict[str, Any]:
        return {**super()._properties(), **transactional_properties(self._config, self._transactional_id)}

    def _build(self) -> bool:
        if not super()._build():
            return False
        assert self._producer is not None
        assert self._hand_over is not None
        self._transactions = Transactions(self._producer, self._cursor, self._worker)
        self._moved_at = self._clock()
        self._hand_over.is_ungated = True
        self._hand_over.is_quiet = self._is_quiet
        return True

    def _is_quiet(self) -> bool:
        """Whether the open transaction is empty: a suspect has one to itself."""
        assert self._hand_over is not None
        assert self._transactions is not None
        return self._hand_over.count == self._transactions.began_at

    def _deliver(self) -> None:
        if self._producer is None or self._hand_over is None or self._transactions is None:
            if self.lost is None:
                super()._deliver()
            return
        producer, hand_over, transactions = self._producer, self._hand_over, self._transactions
        self._take_events(producer)
        ended = transactions.step()
        if transactions.stage is Stage.FAILED or self._fatal_events or producer.fatal:
            self._lose(transactions)
            return
        if transactions.stage is Stage.STARTING:
            self._say_why_not(transactions)
            if self._clock() - self._moved_at > _STARTS_FOR * self._stuck_s:
                self._give_up_with(None)
            return
        if ended is Ended.COMMITTED:
            self._on_committed(hand_over)
        elif ended is Ended.ABORTED:
            self._on_aborted(transactions, hand_over)
        self._mind_the_stuck(hand_over)
        if self._ending is None and not transactions.is_waiting:
            self._go_on(producer, hand_over, transactions)

    def _mind_the_stuck(self, hand_over: HandOver) -> None:
        if self._contact.notice(hand_over.count, self.outstanding) or not self._uncommitted:
            self._moved_at = self._clock()
        elif self._clock() - self._moved_at > self._stuck_s:
            self._be_lost(_STUCK)

    def _go_on(self, producer: RecordProducer, hand_over: HandOver, transactions: Transactions) -> None:
        """None is being ended: hand over what may be, and end it when it is time."""
        if transactions.stage is Stage.OPEN and self._uncommitted and (self._failures or self._forgetting):
            self._keeping = None
            transactions.abort()
            return
        if hand_over.stopped_by is not None and not self._uncommitted:
            self._give_up(producer, hand_over.stopped_by)
            return
        self._check(producer)
        if self._keeping is None and self._clock() >= self._paused_until and self._is_open():
            if transactions.stage is Stage.READY and next(self._window.to_hand_over(), None) is not None:
                transactions.begin(hand_over.count)
            if transactions.stage is Stage.OPEN:
                hand_over.run()
                if not self._uncommitted and not self._is_quiet():
                    self._uncommitted, self._began = True, self._clock()
        if self._uncommitted and not self._failures and self._is_due(hand_over):
            self._end_transaction(transactions)

    def _is_due(self, hand_over: HandOver) -> bool:
        if (
            self._keeping is not None
            or not self._is_open()
            or self._clock() - self._began >= self._interval_s
        ):
            return True
        if hand_over.alone is not None or hand_over.stopped_by is not None or hand_over.is_at_suspect:
            return True
        if next(self._window.to_hand_over(), None) is not None:
            return False
        return self.room == 0 or self._is_end()

    def _end_transaction(self, transactions: Transactions) -> None:
        if self._keeping is None:
            self._kept = True
            if letters := self._letters_to_keep():
                self._kept, self._keeping = False, letters
                self._keep(letters, lambda: self._on_kept(letters))
        if self._kept and transactions.commit(self._new_mark()):
            self._keeping = None

    def _letters_to_keep(self) -> Sequence[DeadLetter]:
        """The dead letters that the transaction passes."""
        return self._window.take_letters()

    def _new_mark(self) -> bytes:
        """The position behind the last message of the transaction."""
        assert self._hand_over is not None
        if self._hand_over.alone is not None:
            batch, place = self._hand_over.alone  # not passed before it is known what became of it
            last_id = batch.id_at(place)
        else:
            passed = self._window.newest_passed()
            assert passed is not None, "something was handed over"
            batch, last_id = passed
        before, _ = _positions(batch)
        assert before.window_token is not None, "windows are opened with a name"
        return Mark(before.window_token, last_id).as_value()

    def _is_end(self) -> bool:
        """Whether nothing comes behind the newest batch before all of it is committed."""
        batch = self._window.last
        if batch is None:
            return True
        _, after = _positions(batch)
        return after.cur is None and not after.replaying

    def _on_kept(self, letters: object) -> None:
        if self._keeping is letters:
            failpoints.hit("after_keep")
            self._kept = True

    def _on_committed(self, hand_over: HandOver) -> None:
        hand_over.alone = None
        self._uncommitted = False
        self._taken += super().take_settled()
        failpoints.hit("on_acknowledgement")
        self._backoff.reset()
        self._replaced = False
        if not self._checks.waiting:
            self._contact.acknowledged()

    # -- what goes wrong -----------------------------------------------------------------------------

    def _say_why_not(self, transactions: Transactions) -> None:
        error = transactions.error
        if error is not None:
            self._contact.unanswered(
                Trouble(error_class=ErrorClass.CLUSTER_AWAY, code=error.name(), cause=error.str())
            )

    def _on_aborted(self, transactions: Transactions, hand_over: HandOver) -> None:
        """Nothing of it will be read; decide from its reports how to go on."""
        failures, alone = self._failures[:], hand_over.alone
        self._failures.clear()
        hand_over.count = transactions.began_at
        hand_over.begin_again()
        self._uncommitted = False
        if self._forgetting:
            return
        self._window.take_back()
        if not failures and transactions.error is None:
            return
        if failures:
            judgement = judge(failures, (), alone, topic_is_template=self._topic_is_template)
            trouble, is_final = judgement.trouble, judgement.is_final
        else:
            trouble, is_final, judgement = self._trouble_of(transactions.error), False, None
        suspects = mark_suspects(failures, topic_is_template=self._topic_is_template)
        if is_final and alone is not None:
            batch, place = alone
            key = hand_over.ordering_key(batch.rows[place])
            stopped_by = self.undelivered.bury(batch, place, trouble, key)
            if stopped_by is not None:
                self._give_up_with(stopped_by)
        elif trouble.error_class is ErrorClass.FENCED:
            self._be_lost(trouble)
        elif trouble.error_class is not ErrorClass.MESSAGE:
            self._paused_until = self._clock() + self._pause_after(trouble)
            if trouble.topic == self._cursor.topic:
                self._cursor.look_again()
                self._give_up_with(None)
        elif judgement is not None and judgement.too_large and suspects > 1:
            self._batch_bytes = max(BATCH_BYTES_MIN, self._batch_bytes // 2)
            self._give_up_with(None)
        self._log.warning(
            "transaction_aborted",
            error_class=str(trouble.error_class),
            error_code=trouble.code,
            cause=trouble.cause,
            topic=trouble.topic,
            suspects=suspects,
        )

    def _trouble_of(self, error: KafkaError | None) -> Trouble:
        assert error is not None
        error_class = classify(error)
        topic = None
        if error_class in (ErrorClass.DESTINATION, ErrorClass.CONFIGURATION):
            topic = self._config.transactions.cursor_topic
        return Trouble(error_class=error_class, code=error.name(), cause=error.str(), topic=topic)

    def _give_up_with(self, trouble: Trouble | None) -> None:
        if self._producer is not None:
            self._give_up(self._producer, trouble)

    def _lose(self, transactions: Transactions) -> None:
        """This producer is past use. What it was about to commit may be committed or not."""
        if transactions.error is not None:
            trouble = self._trouble_of(transactions.error)
        elif self._fatal_events:
            event = self._fatal_events[0]
            trouble = Trouble(error_class=event.error_class, code=event.code, cause=event.cause)
        else:
            trouble = Trouble(error_class=ErrorClass.FATAL_PRODUCER, cause="the producer is past use")
        if self._uncommitted or trouble.error_class is ErrorClass.FENCED:
            self._be_lost(trouble)
            return
        self._paused_until = self._clock() + self._pause_after(trouble)
        self._give_up_with(None)

    def _be_lost(self, trouble: Trouble) -> None:
        self.lost = trouble
        self._give_up_with(None)
        if self._ending is not None:
            self._ending.hurry()

    def _end_producer(self, ending: ProducerEnd) -> None:
        if self._producer is None:
            return
        gone = ending.step()
        self._take_events(self._producer)
        if not gone:
            return
        stopped_by = None if self._discarding else self._stopped_by
        self._ending = self._producer = self._hand_over = self._stopped_by = self._transactions = None
        self._discarding = self._uncommitted = False
        self._keeping = None
        self._failures.clear()
        self._fatal_events.clear()
        self._window.take_back()
        if stopped_by is not None:
            self._stop(stopped_by)


def _positions(batch: Batch) -> tuple[Position, Position]:
    return cast("tuple[Position, Position]", batch.position)
