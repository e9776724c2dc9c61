"""Which messages are sent, and in which shape: filter and projection, compiled once per configuration."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from pg_tide_relay.config.models import TransformConfig
from pg_tide_relay.config.problems import Problem
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.expression import Expression, ExpressionError, is_false
from pg_tide_relay.message import Message, Row
from pg_tide_wire_formats.documents import DocumentError, refuse_what_json_has_not, render

Transform = Callable[[Message], Row | None]
"""From a message to the row that is encoded. None: the message is filtered. Raises MessageError."""


class Transforms(NamedTuple):
    """The two expressions of a pipeline."""

    keep: Expression | None
    project: Expression | None


def transforms_of(config: TransformConfig) -> Transforms:
    """Compile filter and projection; raises ConfigurationError."""
    return Transforms(
        keep=None if config.filter is None else compile_expression("transform.filter", config.filter),
        project=None if config.payload is None else compile_expression("transform.payload", config.payload),
    )


def compile_transform(transforms: Transforms, *, drops_null: bool) -> Transform | None:
    """Filter and projection in one; None when there is nothing to do.

    ``drops_null``: what the filter makes of a message with neither payload nor old payload.
    """
    keep, project = transforms
    if keep is None and project is None:
        return None

    def transform(message: Message) -> Row | None:
        if keep is not None and not _is_kept(keep, message, drops_null=drops_null):
            return None
        return cast(Row, message) if project is None else _projected(project, message)

    return transform


def filter_first(
    keep: Expression, read: Callable[[bytes], Any], shape: Callable[[Row], Any], *, drops_null: bool
) -> Callable[[Row], Any]:
    """A filter in front of what shapes the messages that it keeps; ``read`` parses what it looks at."""

    def shape_if_kept(row: Row) -> Any:
        subject = row[4] if row[4] is not None else row[5]
        try:
            if drops_null if subject is None else is_false(keep(read(subject))):
                return None
        except (ExpressionError, DocumentError):
            _is_kept(keep, Message(row), drops_null=drops_null)  # says the same as this message's error
            raise
        return shape(row)

    return shape_if_kept


def compile_expression(config_key: str, text: str) -> Expression:
    """The expression of a key; raises ConfigurationError naming the key."""
    try:
        return Expression(text)
    except ExpressionError as error:
        raise ConfigurationError(config_key, str(error)) from error


def expression_problems(stored: Any) -> list[Problem]:
    """What is wrong with the expressions of a stored configuration: what SQL can't tell.

    Says nothing about what is no text, which ``validate_stored`` does, nor about a text with a reference such as
    ${env:NAME}, which is known in the relay's environment only.
    """
    problems = []
    for path, text in _expressions(stored):
        if isinstance(text, str) and "${" not in text:
            try:
                Expression(text)
            except ExpressionError as error:
                problems.append(Problem(path=path, severity="error", message=str(error)))
    return problems


def _expressions(stored: Any) -> list[tuple[str, Any]]:
    """Path and text of everything in a configuration that ought to be an expression."""
    root = _member(stored, "transform")
    rules = _member(_member(stored, "routing"), "rules")
    found = [(f"transform.{key}", _member(root, key)) for key in ("filter", "payload")]
    if isinstance(rules, list):
        found += [(f"routing.rules[{place}].when", _member(rule, "when")) for place, rule in enumerate(rules)]
    return found


def _member(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _is_kept(keep: Expression, message: Message, *, drops_null: bool) -> bool:
    """A payload of SQL NULL, as a delete may have: the old one is looked at, and where there is none, on_null."""
    if message[4] is None and message[5] is None:
        return not drops_null
    return not is_false(message.value_of(keep, message.subject, "transform.filter"))


def _projected(project: Expression, message: Message) -> Row:
    """Both payloads in one shape; what is SQL NULL stays so."""

    def shaped(document: Any) -> bytes:
        value = message.value_of(project, document, "transform.payload")
        try:
            if project.computes:
                refuse_what_json_has_not(value)
            return render(value)
        except DocumentError as error:
            raise MessageError(message[0], f"transform.payload failed: {error}") from error

    message_id, op, key, dedup_key, payload, old, headers, created_at = message
    return (
        message_id,
        op,
        key,
        dedup_key,
        None if payload is None else shaped(message.payload),
        None if old is None else shaped(message.old_payload),
        headers,
        created_at,
    )
