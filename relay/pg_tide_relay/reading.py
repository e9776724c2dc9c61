"""How much of a payload a pipeline has to read: a filter of three members need not build the other seven."""

from collections.abc import Callable, Iterable
from typing import Any

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.templates import is_dotted, tokens
from pg_tide_relay.expression import Expression
from pg_tide_wire_formats.documents import compile_reader, parse


def reader_for(
    config: PipelineConfig, conditions: Iterable[Expression], projection: Expression | None
) -> Callable[[bytes], Any]:
    """What parses the documents of a pipeline's messages, for its expressions and templates."""
    conditions = list(conditions)
    expressions = conditions if projection is None else [*conditions, projection]
    members = _members_in_templates(config)
    for expression in expressions:
        if expression.members is None or expression.asks_for_message:
            return parse
        members |= expression.members
    # Templates and projections write numbers as they came; a condition only compares them.
    exact = bool(_members_in_templates(config)) or projection is not None
    exact = exact or any(expression.writes_numbers for expression in expressions)
    return compile_reader(members, exact=exact)


def _members_in_templates(config: PipelineConfig) -> set[str]:
    templates = [config.topic, config.message_key]
    for rule in config.routing.rules:
        templates += [rule.topic, rule.message_key]
    names = [
        token.text.split(".")
        for template in templates
        if template is not None
        for token in tokens(template)
        if token.kind == "placeholder" and is_dotted(token.text)
    ]
    return {name[1] for name in names if name[0] == "payload"}
