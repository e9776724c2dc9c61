"""Checks a topic before its first message is handed over.

A message for a topic that is not there is refused by the client itself, behind the back of the gapless
guarantee: messages of its key that follow could overtake it. So nothing is handed over before the cluster's
metadata has the topic. Asking may wait for the network and is done by a worker thread, as is the creation of a
missing topic where the configuration wants the relay to create it.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.error_policy import cure_for_creation
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_config import admin_properties
from pg_tide_relay.kafka_errors import classify, classify_creation
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.topic_admin import CreationError, TopicCreator, is_missing

# One question to the cluster. The end of a producer has to wait for it.
_LOOK_UP_TIMEOUT_S = 2.0

# One request to create a topic. A cluster that needs longer goes on by itself, and the topic is found later.
_CREATION_TIMEOUT_S = 3.0

# A topic that is being created is unknown to brokers until they have heard of it; this long is no trouble.
_CREATION_GRACE_S = 2.0
_CREATION_PAUSE_S = 0.05

# An absent cluster answers the moment it is back: the question itself waits.
_AWAY_PAUSE_S = 0.5

# A template with {outbox_id} makes a topic for every message.
_READY_MAX = 10_000


class TopicChecks:
    """The topics of one pipeline that are known to be there, and the check of the next one."""

    def __init__(
        self,
        worker: ThreadPoolExecutor,
        clock: Callable[[], float],
        *,
        broker_creates: bool,
        creator: TopicCreator | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """``broker_creates``: asking may make the broker create it. ``creator``: the relay creates it.

        ``backoff`` gives the pauses between two questions.
        """
        self.ready: dict[str, int] = {}
        """Topics that are there, with their number of partitions."""

        self._worker = worker
        self._clock = clock
        self._broker_creates = broker_creates
        self._creator = creator
        self._topic: str | None = None  # the topic that delivery waits for
        self._asked = ""  # the topic of the question that is under way
        self._created = False  # what delivery waits for was created; only to be found by now
        self._patient_until = 0.0
        self._again_at = 0.0
        self._answer: Future[int | None] | None = None
        self._backoff = backoff or Backoff()

    @property
    def waiting(self) -> bool:
        """Whether delivery waits for a topic."""
        return self._topic is not None

    def want(self, topic: str) -> None:
        """Delivery can't go on without this topic; ``step`` asks for it."""
        if topic != self._topic:
            self._topic = topic
            self._created = False
            self._again_at = self._clock()
            self._patient_until = self._again_at + (_CREATION_GRACE_S if self._broker_creates else 0.0)
            self._backoff.reset()

    def ask_again(self) -> None:
        """Ask for a topic that is known, if there is one: does the cluster answer again?"""
        topic = next(iter(self.ready), None)
        if topic is not None:
            self.want(topic)

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
            creator = None if self._created else self._creator
            self._answer = self._worker.submit(_partitions_of, self._asked, producer, creator)
        return None

    def _take_answer(self, answer: Future[int | None]) -> Trouble | None:
        self._answer = None
        # Delivery may have gone back and wait for another topic by now.
        is_wanted = self._asked == self._topic
        try:
            partitions = answer.result()
        except KafkaException as unanswered:
            return self._not_found(unanswered.args[0]) if is_wanted else None
        except CreationError as refused:
            return self._not_created(refused.error) if is_wanted else None
        if partitions is None:
            if is_wanted:
                self._created = True
                self._patient_until = self._clock() + _CREATION_GRACE_S
            return None
        if len(self.ready) >= _READY_MAX:
            self.ready.clear()
        self.ready[self._asked] = partitions
        if is_wanted:
            self._topic = None
        return None

    def _not_found(self, error: KafkaError) -> Trouble | None:
        error_class = classify(error)
        now = self._clock()
        is_patient = error_class in (ErrorClass.DESTINATION, ErrorClass.CLUSTER_AWAY)
        if error_class is ErrorClass.CLUSTER_AWAY and error.code() < 0:
            self._again_at = now + _AWAY_PAUSE_S
        elif is_patient and now < self._patient_until:
            self._again_at = now + _CREATION_PAUSE_S
            return None
        else:
            self._created = False
            return self._again_after_pause(
                Trouble(error_class=error_class, code=error.name(), cause=error.str(), topic=self._asked)
            )
        return Trouble(error_class=error_class, code=error.name(), cause=error.str(), topic=self._asked)

    def _not_created(self, error: KafkaError) -> Trouble:
        error_class = classify_creation(error)
        trouble = Trouble(
            error_class=error_class,
            code=error.name(),
            cause=f"the topic is missing and can't be created: {error.str()}",
            topic=self._asked,
            cure=cure_for_creation(error_class, error.name()),
        )
        if error_class is ErrorClass.CLUSTER_AWAY and error.code() < 0:
            self._again_at = self._clock() + _AWAY_PAUSE_S
            return trouble
        return self._again_after_pause(trouble)

    def _again_after_pause(self, trouble: Trouble) -> Trouble:
        pause_s = self._backoff.next_s()
        self._again_at = self._clock() + pause_s
        return replace(trouble, attempts=self._backoff.attempts, pause_s=pause_s)


def _partitions_of(topic: str, producer: RecordProducer, creator: TopicCreator | None) -> int | None:
    """The number of partitions of a topic; None: it was missing and has just been created."""
    try:
        return producer.look_up_topic(topic, _LOOK_UP_TIMEOUT_S)
    except KafkaException as unanswered:
        if creator is None or not is_missing(unanswered.args[0]):
            raise
    creator.create(topic, _CREATION_TIMEOUT_S)
    return None


def topic_checks(
    config: PipelineConfig, pipeline: str, worker: ThreadPoolExecutor, clock: Callable[[], float]
) -> TopicChecks:
    """The checks of topics that a pipeline's configuration asks for."""
    creates = config.topics.policy == "create"
    return TopicChecks(
        worker,
        clock,
        broker_creates=config.topics.policy == "broker",
        creator=TopicCreator(admin_properties(config, pipeline), config.topics) if creates else None,
        backoff=Backoff(config.retry),
    )
