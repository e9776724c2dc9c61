"""Checks a topic before its first message is handed over.

A message for a topic that is not there is refused by the client itself, behind the back of the gapless
guarantee: messages of its key that follow could overtake it. So nothing is handed over before the cluster's
metadata has the topic. Asking may wait for the network and is done by a worker thread.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_errors import classify
from pg_tide_relay.produce import RecordProducer

# One question to the cluster. The end of a producer has to wait for it.
_LOOK_UP_TIMEOUT_S = 2.0

# A broker that creates a topic on being asked answers "unknown" until it has; this long is no trouble.
_CREATION_GRACE_S = 2.0
_CREATION_PAUSE_S = 0.05

# An absent cluster answers the moment it is back: the question itself waits.
_AWAY_PAUSE_S = 0.5

# A template with {outbox_id} makes a topic for every message.
_READY_MAX = 10_000


class TopicChecks:
    """The topics of one pipeline that are known to be there, and the check of the next one."""

    def __init__(
        self, worker: ThreadPoolExecutor, clock: Callable[[], float], *, may_be_created: bool
    ) -> None:
        self.ready: dict[str, int] = {}
        """Topics that are there, with their number of partitions."""

        self._worker = worker
        self._clock = clock
        self._may_be_created = may_be_created
        self._topic: str | None = None  # the topic that delivery waits for
        self._asked = ""  # the topic of the question that is under way
        self._asked_at = 0.0
        self._again_at = 0.0
        self._answer: Future[int] | None = None
        self._backoff = Backoff()

    @property
    def waiting(self) -> bool:
        """Whether delivery waits for a topic."""
        return self._topic is not None

    def want(self, topic: str) -> None:
        """Delivery can't go on without this topic; ``step`` asks for it."""
        if topic != self._topic:
            self._topic = topic
            self._asked_at = self._again_at = self._clock()
            self._backoff.reset()

    def forget(self, topic: str) -> None:
        """A report said that the topic is gone, or not ours to write."""
        self.ready.pop(topic, None)

    def cancel(self) -> None:
        """Delivery waits for no topic any more."""
        self._topic = None

    def wait(self, timeout_s: float) -> None:
        """Wait for the answer that is under way, or for the time of the next question; at most this long."""
        if self._answer is not None:
            wait([self._answer], timeout_s)
        else:
            time.sleep(min(timeout_s, max(0.0, self._again_at - self._clock())))

    def step(self, producer: RecordProducer) -> Trouble | None:
        """Ask, or take the answer; a trouble is returned each time the answer is one."""
        if self._answer is not None:
            return self._take_answer(self._answer) if self._answer.done() else None
        if self._topic is not None and self._clock() >= self._again_at:
            self._asked = self._topic
            self._answer = self._worker.submit(producer.look_up_topic, self._asked, _LOOK_UP_TIMEOUT_S)
        return None

    def _take_answer(self, answer: Future[int]) -> Trouble | None:
        self._answer = None
        try:
            partitions = answer.result()
        except KafkaException as refused:
            # Delivery may have gone back and wait for another topic by now.
            return self._failed(refused.args[0]) if self._asked == self._topic else None
        if len(self.ready) >= _READY_MAX:
            self.ready.clear()
        self.ready[self._asked] = partitions
        if self._asked == self._topic:
            self._topic = None
        return None

    def _failed(self, error: KafkaError) -> Trouble | None:
        error_class = classify(error)
        if error_class is ErrorClass.CLUSTER_AWAY and error.code() < 0:
            pause_s = _AWAY_PAUSE_S
        elif self._being_created(error_class):
            pause_s = _CREATION_PAUSE_S
        else:
            pause_s = self._backoff.next_s()
        self._again_at = self._clock() + pause_s
        if pause_s == _CREATION_PAUSE_S:
            return None
        return Trouble(error_class=error_class, code=error.name(), cause=error.str(), topic=self._asked)

    def _being_created(self, error_class: ErrorClass) -> bool:
        return (
            self._may_be_created
            and error_class in (ErrorClass.DESTINATION, ErrorClass.CLUSTER_AWAY)
            and self._clock() - self._asked_at < _CREATION_GRACE_S
        )
