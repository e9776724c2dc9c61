"""The keys of a model as rows of a reference: what the view ``tide.config_keys`` and the docs show."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.marks import About
from pg_tide_relay.config.rules import RuleError, field_marks, rules_of


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a configuration."""

    path: str  # dotted when nested
    type: str  # "string", "int", "number", "bool", "object" or "list"
    accepts: str  # the values in words
    unit: str | None
    required: bool
    default: str | None  # as JSON; None when the key is required
    description: str  # Markdown
    reason: str  # why the default is what it is
    reaches: str | None  # the librdkafka property, or where else the value takes effect


_TYPES = {
    "string": "string",
    "integer": "int",
    "number": "number",
    "boolean": "bool",
    "object": "object",
    "map": "object",
    "tagged": "object",
    "list": "list",
    "union": "union",
}


def keys_of(model: type[ConfigModel], parent: str = "") -> Iterator[Key]:
    """The keys of a model and of the models inside it, in the order of their declaration."""
    rules = rules_of(model)["keys"]
    for name, field in model.model_fields.items():
        path = f"{parent}{name}"
        yield _key(path, field, rules[name])
        inner = _model_inside(field.annotation)
        if inner is not None:
            yield from keys_of(inner, f"{path}.")
        elif get_origin(field.annotation) is list and (item := _model_inside(get_args(field.annotation)[0])):
            yield from keys_of(item, f"{path}[].")


def _key(path: str, field: FieldInfo, entry: dict[str, Any]) -> Key:
    about = next((mark for mark in field_marks(field) if isinstance(mark, About)), None)
    if about is None or field.description is None:
        raise RuleError(f"{path}: a key needs a description and the reason of its default")
    rule = entry["rule"]
    return Key(
        path=path,
        type=_TYPES[rule["type"]],
        accepts=rule.get("expects", rule["what"].removesuffix(" or null")),
        unit=about.unit,
        required=entry["required"],
        default=None if entry["required"] else json.dumps(entry["default"]),
        description=field.description,
        reason=about.reason,
        reaches=about.reaches,
    )


def _model_inside(annotation: Any) -> type[ConfigModel] | None:
    if get_origin(annotation) in (Union, UnionType):
        members = [member for member in get_args(annotation) if member is not NoneType]
        return _model_inside(members[0]) if len(members) == 1 else None
    if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
        return annotation
    return None
