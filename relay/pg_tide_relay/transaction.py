"""One transaction after the other of one producer; what waits for the cluster is done by a worker's thread.

A call that the worker makes lasts a second at most and is made again until it succeeds or fails for good: so an
absent cluster keeps nobody from leaving. While it is under way the main thread only serves the producer's reports.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from enum import Enum, auto
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay.failpoints import hit
from pg_tide_relay.kafka_cursor import PARTITION, KafkaCursor
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.topic_admin import CreationError

_ATTEMPT_S: Final = 1.0
_PATIENCE_S: Final = 5.0
"""How long one attempt waits for the ends of others' transactions."""


class Stage(Enum):
    """Where a producer's transactions stand."""

    STARTING = auto()  # predecessors are fenced and their transactions ended; then Kafka's position is read
    READY = auto()  # none is open
    OPEN = auto()
    COMMITTING = auto()
    ABORTING = auto()
    FAILED = auto()  # this producer is past use


class Ended(Enum):
    """What became of a transaction."""

    COMMITTED = auto()
    ABORTED = auto()


class Transactions:
    """For the pipeline's thread; nothing here waits."""

    def __init__(self, producer: RecordProducer, cursor: KafkaCursor, worker: ThreadPoolExecutor) -> None:
        """Begin by fencing whoever used the transactional id before."""
        self._producer = producer
        self._cursor = cursor
        self._worker = worker
        self.stage = Stage.STARTING
        self.newest: bytes | None = None
        """The newest committed record; known once the stage is not STARTING. None: there is none."""
        self.error: KafkaError | None = None
        """Why the last attempt did not succeed; None: it did, or none was made."""
        self.began_at = 0
        """How many records had been handed over when the transaction began."""
        self._pending: bytes | None = None
        self._initialised = False
        self._refused: KafkaError | None = None
        self._job: Future[None] = worker.submit(self._start)

    @property
    def is_waiting(self) -> bool:
        """Whether a worker's call is under way."""
        return self.stage in (Stage.STARTING, Stage.COMMITTING, Stage.ABORTING)

    def wait(self, timeout_s: float) -> None:
        """Wait for that call, at most this long."""
        wait([self._job], timeout_s)

    def begin(self, handed_over: int) -> None:
        """Open a transaction; asks nobody."""
        self._producer.client.begin_transaction()
        self.began_at = handed_over
        self.stage = Stage.OPEN

    def commit(self, record: bytes) -> bool:
        """Add this record to it, and end the transaction; False: the client's queue is full, ask again."""
        try:
            self._producer.client.produce(
                self._cursor.topic, record, self._cursor.key, PARTITION, self._on_record
            )
        except BufferError:
            return False
        self._pending = record
        self._go(Stage.COMMITTING)
        return True

    def abort(self) -> None:
        """Take everything back that was handed over since ``begin``."""
        self._go(Stage.ABORTING)

    def step(self) -> Ended | None:
        """Take the worker's answer, if there is one."""
        if not self.is_waiting or not self._job.done():
            return None
        raised = self._job.exception()
        if raised is not None:
            self._on_error(raised)
            return None
        self.error = None
        before, self.stage = self.stage, Stage.READY
        if before is Stage.STARTING:
            return None
        if before is Stage.ABORTING:
            return Ended.ABORTED
        self.newest = self._pending
        return Ended.COMMITTED

    def _on_record(self, error: KafkaError | None, _message: object) -> None:
        self._refused = error

    def _on_error(self, raised: BaseException) -> None:
        if isinstance(raised, CreationError):
            error, may_retry = raised.error, self.stage is Stage.STARTING and raised.error.retriable()
        elif isinstance(raised, KafkaException):
            error = raised.args[0]
            # Its own reading and looking at the start may be done again; calls of transactions say so themselves.
            may_retry = error.retriable() or (self.stage is Stage.STARTING and _is_time_out(error))
        else:
            raise raised
        self.error = error
        if may_retry:
            self._submit()
        elif self.stage is Stage.COMMITTING and error.txn_requires_abort():
            self.error = self._refused or error
            self._go(Stage.ABORTING)
        else:
            self.stage = Stage.FAILED

    def _go(self, stage: Stage) -> None:
        self.stage = stage
        self._submit()

    def _submit(self) -> None:
        jobs: dict[Stage, Callable[[], None]] = {
            Stage.STARTING: self._start,
            Stage.COMMITTING: self._commit,
            Stage.ABORTING: self._abort,
        }
        self._job = self._worker.submit(jobs[self.stage])

    # -- on the worker's thread ----------------------------------------------------------------------

    def _start(self) -> None:
        if not self._initialised:
            self._cursor.ensure_topic()
            self._producer.client.init_transactions(_ATTEMPT_S)
            self._initialised = True
        # Behind the fence: whatever a predecessor had begun to commit is in the topic now, or never will be.
        hit("after_fence")
        self.newest = self._cursor.newest(_PATIENCE_S)

    def _commit(self) -> None:
        hit("before_commit")
        self._producer.client.commit_transaction(_ATTEMPT_S)
        hit("after_commit")

    def _abort(self) -> None:
        self._producer.client.abort_transaction(_ATTEMPT_S)


def _is_time_out(error: KafkaError) -> bool:
    return error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
