"""What ``pg-tide schemas ensure`` does: does the registry have the schemas of stored pipelines, and register them.

Waits for registries; for a command. Subjects that are known only when a message is there are named with the template
of their topic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pg_tide_relay.config.load import load_record_config
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.errors import ErrorClass, RegistryError
from pg_tide_relay.pipeline_faults import PipelineFaults
from pg_tide_relay.registry import Found, Registry
from pg_tide_relay.schemas import Question, Schemas
from pg_tide_relay.topics_ensure import topics_of
from pg_tide_relay.wire_types import Origin

SchemaState = Literal[
    "registered",
    "created",  # by this command
    "missing",
    "incompatible",  # missing, and breaks the subject's compatibility
    "refused",
    "registry away",
    "depends on messages",
]

_ANY_TOPIC = "any"


@dataclass(frozen=True, kw_only=True)
class SchemaFinding:
    """One subject of one pipeline."""

    pipeline: str
    subject: str  # with the template of its topic, where messages decide
    state: SchemaState
    schema_id: int | None = None
    reason: str | None = None  # in words, where the state does not say all


class EnsureSchemas(PipelineFaults):
    """The schemas of pipelines, one pipeline after the other."""

    def __init__(self, *, register: bool, environ: Mapping[str, str], allowed: Sequence[str]) -> None:
        """``register``: those that are missing, and that their registry takes. ``allowed``: see ``resolve``."""
        super().__init__()
        self._register = register
        self._environ = environ
        self._allowed = allowed
        self._away: dict[str, str] = {}  # registries that did not answer, by their address: asked once only
        self.findings: list[SchemaFinding] = []

    def pipeline(self, name: str, outbox: str, stored: Mapping[str, Any]) -> None:
        """Look for the schemas of one stored pipeline; adds findings or faults, and nothing where it needs none."""
        with self.of(name):
            config = load_record_config(stored, self._environ, self._allowed)
            if config.schema_registry.url is not None:
                schemas = Schemas()
                compile_shape(config, Origin(outbox, ""), schemas)
                self._look_for(name, config, schemas, *topics_of(config, outbox))

    def _look_for(
        self,
        name: str,
        config: PipelineConfig,
        schemas: Schemas,
        topics: Iterable[str],
        templates: Iterable[str],
    ) -> None:
        questions = {question: None for topic in topics for question in schemas.questions_of(topic)}
        dependent: dict[str, None] = {}
        for template in templates:
            for question, other in zip(
                schemas.questions_of(template), schemas.questions_of(_ANY_TOPIC), strict=True
            ):
                if question == other:
                    questions[question] = None
                else:
                    dependent[question.subject] = None
        self.findings += [self._finding(name, config, question) for question in questions]
        self.findings += [
            SchemaFinding(pipeline=name, subject=subject, state="depends on messages")
            for subject in dependent
        ]

    def _finding(self, pipeline: str, config: PipelineConfig, question: Question) -> SchemaFinding:
        place = str(config.schema_registry.url)
        schema_id, reason = None, None
        if place in self._away:
            state: SchemaState = "registry away"
            reason = self._away[place]
        else:
            try:
                state, schema_id, reason = self._state_of(config, question)
            except RegistryError as error:
                state, reason = _refusal(error), f"{error.cause}: {error.cure}"
                if state == "registry away":
                    self._away[place] = error.cause
        return SchemaFinding(
            pipeline=pipeline, subject=question.subject, state=state, schema_id=schema_id, reason=reason
        )

    def _state_of(
        self, config: PipelineConfig, question: Question
    ) -> tuple[SchemaState, int | None, str | None]:
        registry = Registry(config.schema_registry)
        if question.schema is None:
            return "registered", registry.ask(question).schema_id, None
        found = registry.find(question.subject, question.schema)
        if found.schema_id is not None:
            return "registered", found.schema_id, None
        if not found.compatible:
            return "incompatible", None, f"not with the latest version there{_level(found)}"
        if self._register:
            return "created", registry.register(question.subject, question.schema), None
        who = "the relay registers it before its first message; --register does it now"
        return (
            "missing",
            None,
            _new(found) + (who if config.schema_registry.auto_register else "--register registers it"),
        )


def _refusal(error: RegistryError) -> SchemaState:
    if error.error_class is ErrorClass.CLUSTER_AWAY:
        return "registry away"
    return "incompatible" if error.code == "SCHEMA_INCOMPATIBLE" else "refused"


def _new(found: Found) -> str:
    return f"compatible{_level(found)}; " if found.subject_exists else "a new subject; "


def _level(found: Found) -> str:
    return f" ({found.level})" if found.level else ""
