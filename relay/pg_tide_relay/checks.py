"""What has to be known before a message is handed over: its topic, and the ids of the schemas it is written with."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, NamedTuple

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.registry_models import SchemaRegistryConfig
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.kafka_config import admin_properties
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.route import compile_topic
from pg_tide_relay.schema_checks import SchemaChecks
from pg_tide_relay.schemas import Answer, Question, Schemas
from pg_tide_relay.stuck import Stuck, leaders_answer
from pg_tide_relay.topics import TopicChecks, topic_checks


class Ahead(NamedTuple):
    """What is known of a pipeline's records before there is one."""

    topic: str | None = None  # the same for all messages, if it is
    schemas: Schemas | None = None  # what they are shaped with


NOTHING_AHEAD: Final = Ahead()


def ahead_of(config: PipelineConfig, outbox: str, schemas: Schemas) -> Ahead:
    """What a configuration tells of its records; raises ConfigurationError."""
    topic = compile_topic(config.topic, outbox)
    # Unless rules may send everything elsewhere.
    return Ahead(topic if isinstance(topic, str) and not config.routing.rules else None, schemas)


class Checks:
    """The checks of one pipeline's delivery."""

    def __init__(
        self, topics: TopicChecks, schemas: SchemaChecks | None, topic: str | None, stuck: Stuck | None = None
    ) -> None:
        """``schemas``: None where the configuration names no registry."""
        self.topics = topics
        self._stuck = stuck
        self._schemas = schemas
        self._topic = topic

    @property
    def waiting(self) -> bool:
        """Whether delivery waits for one of them."""
        return self.topics.waiting or (self._schemas is not None and self._schemas.waiting)

    def begin(self) -> None:
        """Check ahead what the first message will need, where its topic is known."""
        if self._topic is None:
            return
        if self._topic not in self.topics.ready:
            self.topics.want(self._topic)
        if self._schemas is not None:
            self._schemas.ahead(self._topic)

    def want_schema(self, question: Question) -> None:
        """Delivery can't go on without this answer."""
        assert self._schemas is not None, "no wire format asks where no registry is configured"
        self._schemas.want(question)

    def is_stuck(self, handed_over: int, outstanding: int) -> bool:
        """Whether the producer comes no further although the cluster answers others."""
        return self._stuck is not None and self._stuck.is_so(handed_over, outstanding, self.topics.ready)

    def cancel(self) -> None:
        """Delivery waits for nothing any more."""
        self.topics.cancel()
        if self._schemas is not None:
            self._schemas.cancel()

    def wait(self, timeout_s: float) -> None:
        """Wait until ``step`` may have something to do; at most this long."""
        if self.topics.waiting:
            self.topics.wait(timeout_s)
        elif self._schemas is not None:
            self._schemas.wait(timeout_s)

    def step(self, producer: RecordProducer) -> Trouble | None:
        """Ask, or take an answer; a trouble is returned each time the answer is one.

        While the registry is the trouble, the cluster's is not told: one cause at a time.
        """
        if self._schemas is None:
            return self.topics.step(producer)
        of_registry = self._schemas.step()
        of_topic = self.topics.step(producer)
        return of_registry if self._schemas.troubled else of_topic


def checks_of(
    config: PipelineConfig,
    pipeline: str,
    worker: ThreadPoolExecutor,
    clock: Callable[[], float],
    ahead: Ahead,
) -> Checks:
    """The checks that a pipeline's configuration asks for."""
    topics = topic_checks(config, pipeline, worker, clock)
    stuck = Stuck(partial(leaders_answer, admin_properties(config, pipeline)), worker, clock)
    if config.schema_registry.url is None:
        return Checks(topics, None, ahead.topic, stuck)
    ask, backoff = partial(_ask, config.schema_registry), Backoff(config.retry)
    schemas = SchemaChecks(ahead.schemas or Schemas(), ask, clock, backoff)
    return Checks(topics, schemas, ahead.topic, stuck)


def _ask(config: SchemaRegistryConfig, question: Question) -> Answer:
    # Loads an HTTP client: half a second and 30 MB, which most relays never need, and none on its busy thread.
    from pg_tide_relay.registry import Registry  # noqa: PLC0415

    return Registry(config).ask(question)
