"""What ``pg-tide topics ensure`` does: are the topics of stored pipelines there, and create those that are missing.

Waits for clusters; for a command. Topics that are known only when a message is there are named as their template.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay.config.load import load_pipeline_config
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.problems import Problem
from pg_tide_relay.error_policy import cure_for_creation
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_config import admin_properties
from pg_tide_relay.kafka_errors import classify, classify_creation
from pg_tide_relay.pipeline_faults import PipelineFaults
from pg_tide_relay.route import known_topics
from pg_tide_relay.topic_admin import CreationError, TopicCreator, TopicLook

_LOOK_TIMEOUT_S: Final = 10.0
_CREATION_TIMEOUT_S: Final = 30.0

TopicState = Literal[
    "exists",
    "created",  # by this command
    "missing",
    "refused",  # missing, and the cluster did not create it
    "unknown",  # the cluster answers, but not this question
    "cluster away",
    "depends on messages",
]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One topic of one pipeline."""

    pipeline: str
    topic: str  # its template, where messages decide
    policy: str  # topics.policy
    state: TopicState
    reason: str | None = None  # in words, where the state does not say all


class Ensure(PipelineFaults):
    """The topics of pipelines, one pipeline after the other."""

    def __init__(self, *, create: bool, environ: Mapping[str, str], allowed: Sequence[str]) -> None:
        """``create``: those that are missing and whose pipeline has the policy create. ``allowed``: see ``resolve``."""
        super().__init__()
        self._create = create
        self._environ = environ
        self._allowed = allowed
        self._away: dict[str, str] = {}  # clusters that did not answer, by their brokers: asked once only
        self.findings: list[Finding] = []

    def pipeline(self, name: str, outbox: str, stored: Mapping[str, Any]) -> None:
        """Look for the topics of one stored pipeline; adds findings or faults."""
        with self.of(name):
            config = load_pipeline_config(stored, self._environ, self._allowed)
            topics, templates = topics_of(config, outbox)
            self._look_for(name, config, topics, templates)

    def _look_for(
        self, name: str, config: PipelineConfig, topics: Iterable[str], templates: Iterable[str]
    ) -> None:
        try:
            look = TopicLook(admin_properties(config, name))
        except KafkaException as refused:
            self.add(name, Problem(path="$", severity="error", message=refused.args[0].str()))
            return
        for topic in topics:
            state, reason = self._state_of(topic, config, name, look)
            self._found(name, topic, config, state, reason)
        for template in templates:
            self._found(name, template, config, "depends on messages", None)

    def _state_of(
        self, topic: str, config: PipelineConfig, pipeline: str, look: TopicLook
    ) -> tuple[TopicState, str | None]:
        if config.brokers in self._away:
            return "cluster away", self._away[config.brokers]
        try:
            if look.exists(topic, _LOOK_TIMEOUT_S):
                return "exists", None
        except KafkaException as unanswered:
            error: KafkaError = unanswered.args[0]
            return self._unanswered(error, classify(error), config, "unknown")
        if config.topics.policy != "create":
            return "missing", None
        if not self._create:
            return "missing", "the relay creates it before its first message; --create does it now"
        creator = TopicCreator(admin_properties(config, pipeline), config.topics)
        try:
            return ("created" if creator.create(topic, _CREATION_TIMEOUT_S) else "exists"), None
        except CreationError as refused:
            error_class = classify_creation(refused.error)
            state, reason = self._unanswered(refused.error, error_class, config, "refused")
            return state, f"{reason}: {cure_for_creation(error_class, refused.error.name())}"

    def _unanswered(
        self, error: KafkaError, error_class: ErrorClass, config: PipelineConfig, otherwise: TopicState
    ) -> tuple[TopicState, str]:
        reason = f"{error.str()} ({error.name()})"
        if error_class is not ErrorClass.CLUSTER_AWAY:
            return otherwise, reason
        if error.code() < 0:
            self._away[config.brokers] = reason
        return "cluster away", reason

    def _found(
        self, pipeline: str, topic: str, config: PipelineConfig, state: TopicState, reason: str | None
    ) -> None:
        self.findings.append(
            Finding(pipeline=pipeline, topic=topic, policy=config.topics.policy, state=state, reason=reason)
        )


def topics_of(config: PipelineConfig, outbox: str) -> tuple[list[str], list[str]]:
    """Topics that are known, and templates of those that are not, each once."""
    topics: dict[str, None] = {}
    templates: dict[str, None] = {}
    for place, template in _templates(config):
        known = known_topics(template, outbox, place)
        (templates if known is None else topics).update(dict.fromkeys([template] if known is None else known))
    return list(topics), list(templates)


def _templates(config: PipelineConfig) -> Iterator[tuple[str, str]]:
    yield "topic", config.topic
    for number, rule in enumerate(config.routing.rules):
        yield f"routing.rules[{number}].topic", rule.topic
