"""The end of a producer, in the order that lets nothing of it land behind what its successor writes.

Every request it has sent is answered first, or its connection closed; only then may another be built. Messages
already in the network when a connection is closed can't be called back: hence the waiting.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pg_tide_relay.produce import RecordProducer

# While requests are being answered, what comes back to be tried again has to be taken back too.
_STEP_S = 0.02


class ProducerEnd:
    """Empties and closes one producer, a step at a time."""

    def __init__(
        self,
        producer: RecordProducer,
        worker: ThreadPoolExecutor,
        clock: Callable[[], float],
        patience_s: float,
    ) -> None:
        """After ``patience_s`` answers are no longer waited for. The worker may still ask this producer."""
        self._producer = producer
        self._worker = worker
        self._clock = clock
        self._until = clock() + patience_s
        self._closed: Future[None] | None = None
        producer.purge_queue()

    def hurry(self) -> None:
        """Wait for no answer any more."""
        self._until = self._clock()

    def wait(self, timeout_s: float) -> None:
        """Serve reports, or wait for the connections to close; at most this long."""
        if self._closed is None:
            self._producer.poll(min(timeout_s, _STEP_S))
        else:
            wait([self._closed], timeout_s)

    def step(self) -> bool:
        """Go on; tell whether this producer is gone."""
        if self._closed is not None:
            if self._closed.done():
                self._closed.result()
                return True
            return False
        if self._producer.outstanding() == 0:
            self._closed = self._worker.submit(self._producer.close)
        elif self._clock() >= self._until:
            self._producer.purge()
        else:
            self._producer.purge_queue()
        return False
