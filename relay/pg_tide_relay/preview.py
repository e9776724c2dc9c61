"""What a pipeline would make of messages: their records, as the relay shapes them, or why there are none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from pg_tide_relay.change_rows import row_schema_problems
from pg_tide_relay.config.load import load_record_config, validate_stored
from pg_tide_relay.config.placeholders import UnresolvedVariable
from pg_tide_relay.config.problems import ConfigError, Problem
from pg_tide_relay.config.registry_models import SchemaRegistryConfig
from pg_tide_relay.encode import Record, Shape, compile_shape
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import Message, Row
from pg_tide_relay.schemas import Schemas, SchemaWanted
from pg_tide_relay.transform import Transform, compile_transform, expression_problems, transforms_of
from pg_tide_relay.wire_avro import schema_problems
from pg_tide_relay.wire_types import Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Previewed:
    """One message and what would become of it."""

    row: Row
    transformed: tuple[bytes | None, bytes | None] | None = (
        None  # payload and old payload, where there is a projection
    )
    record: Record | None = None
    error: str | None = None  # the cause that the pipeline's state would show

    @property
    def outcome(self) -> Literal["sent", "filtered", "error"]:
        """In one word; the keys of the command's output."""
        if self.error is not None:
            return "error"
        return "filtered" if self.record is None else "sent"


class Stored(NamedTuple):
    """What a stored configuration makes of messages."""

    shape: Shape
    project: Transform | None  # the projection by itself, to show what comes between a row and its record


def problems_of(stored: Any) -> list[Problem]:
    """Errors and warnings of a configuration as it is stored, and what SQL can't tell: all that ``validate`` tells."""
    return [
        *validate_stored(stored),
        *expression_problems(stored),
        *row_schema_problems(stored),
        *schema_problems(stored),
    ]


def compile_stored(
    stored: Mapping[str, Any], origin: Origin, environ: Mapping[str, str], allowed: Sequence[str]
) -> Stored:
    """The shape that the relay would compile, and its projection; raises ConfigError.

    References are looked up in this environment, but only where a record depends on them. The shape itself asks the
    schema registry, waits for it, and never registers anything: it raises RegistryError, too.
    """
    errors = [problem for problem in problems_of(stored) if problem.severity == "error"]
    if errors:
        raise ConfigError(errors)
    try:
        config = load_record_config(stored, environ, allowed)
        schemas = Schemas()
        shape = _resolving(compile_shape(config, origin, schemas), schemas, config.schema_registry)
        projection = transforms_of(config.transform)._replace(keep=None)
        return Stored(shape, compile_transform(projection, drops_null=False))
    except ConfigError as error:
        raise ConfigError(_seen_from_here(problem) for problem in error.problems) from error
    except ConfigurationError as error:
        raise ConfigError([Problem(path=error.key, severity="error", message=error.cause)]) from error


def _resolving(shape: Shape, schemas: Schemas, config: SchemaRegistryConfig) -> Shape:
    def resolved(row: Row) -> Record | None:
        while True:
            try:
                return shape(row)
            except SchemaWanted as unknown:
                # Loads an HTTP client, which most configurations do not need.
                from pg_tide_relay.registry import Registry  # noqa: PLC0415

                question = unknown.question
                schemas.learn(question, Registry(config).look_up(question))

    return resolved


def _seen_from_here(problem: Problem) -> Problem:
    """What is missing is missing here; the relay may well have it."""
    if not isinstance(problem, UnresolvedVariable) or problem.reason == "not text":
        return problem
    if problem.reason == "not allowed":
        return replace(problem, hint=f"where the relay has --allow-env {problem.name}, give it here, too")
    return replace(
        problem,
        message=f"the environment variable {problem.name} is not set here",
        hint=f"records depend on it: set {problem.name} as it is set for the relay",
    )


def preview(stored: Stored, rows: Iterable[Row]) -> list[Previewed]:
    """What becomes of each message; one that fails does not hide those behind it."""
    return [_previewed(stored, row) for row in rows]


def _previewed(stored: Stored, row: Row) -> Previewed:
    transformed = None
    try:
        record = stored.shape(row)
        if record is not None and stored.project is not None:
            shaped = stored.project(Message(row))
            transformed = None if shaped is None else (shaped[4], shaped[5])
    except MessageError as error:
        return Previewed(row=row, error=error.cause)
    return Previewed(row=row, transformed=transformed, record=record)
