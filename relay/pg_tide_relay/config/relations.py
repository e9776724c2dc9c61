"""What the keys of one object have to do with each other, as data.

A relation is a list of conditions, and what it means when all of them hold. It is written beside
its model, travels in the rule document, and is evaluated by pydantic, by ``check`` and in SQL.
Conditions look at effective values: a missing key has its default. A key may be dotted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pg_tide_relay.config.placeholders import has_reference
from pg_tide_relay.config.problems import Severity
from pg_tide_relay.config.templates import placeholders

Test = Literal["set", "unset", "one_of", "none_of", "uses", "above"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One test of some keys.

    ``set``: one of the keys at least is not null; ``unset``: all are null; ``one_of``: each key's
    value is in ``values``; ``none_of``: none is; ``uses``: each key is a template with one of the
    placeholders ``values``; ``above``: of two numbers the first is the larger. A value that holds
    an unresolved reference is set, and nothing else is said of it.
    """

    test: Test
    keys: tuple[str, ...]
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Relation:
    """When all conditions hold, there is a problem at a key."""

    at: str
    when: tuple[Condition, ...]
    severity: Severity
    message: str


def together(*keys: str) -> tuple[Relation, ...]:
    """Keys that are given all or not at all: each missing one is an error at its own path."""
    names = f"{', '.join(keys[:-1])} and {keys[-1]}"
    return tuple(
        Relation(
            at=key,
            when=(
                Condition(test="unset", keys=(key,)),
                Condition(test="set", keys=tuple(other for other in keys if other != key)),
            ),
            severity="error",
            message=f"required: {names} belong together",
        )
        for key in keys
    )


def only_with(needed: str, value: Any, *keys: str) -> tuple[Relation, ...]:
    """Keys that mean nothing unless another key has this value."""
    return tuple(
        Relation(
            at=key,
            when=(
                Condition(test="set", keys=(key,)),
                Condition(test="none_of", keys=(needed,), values=(value,)),
            ),
            severity="error",
            message=f"has no effect unless {needed} is {json.dumps(value)}",
        )
        for key in keys
    )


def relation_as_data(relation: Relation) -> dict[str, Any]:
    """A relation as it stands in the rule document."""
    conditions = [
        {"test": condition.test, "keys": list(condition.keys), "values": list(condition.values)}
        for condition in relation.when
    ]
    return {
        "at": relation.at,
        "when": conditions,
        "severity": relation.severity,
        "message": relation.message,
    }


def relation_from(data: Mapping[str, Any]) -> Relation:
    """The relation that stands in the rule document."""
    conditions = tuple(
        Condition(test=when["test"], keys=tuple(when["keys"]), values=tuple(when["values"]))
        for when in data["when"]
    )
    return Relation(at=data["at"], when=conditions, severity=data["severity"], message=data["message"])


def values_needed(relation: Relation, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a relation's keys, dotted ones looked up in nested objects."""
    return {key: _at(values, key) for condition in relation.when for key in condition.keys}


def _at(values: Mapping[str, Any], key: str) -> Any:
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def holds(relation: Relation, values: Mapping[str, Any]) -> bool:
    """Whether all conditions of a relation hold for these effective values, by key."""
    return all(_is_true(condition, values) for condition in relation.when)


def _is_true(condition: Condition, values: Mapping[str, Any]) -> bool:
    found = [values.get(key) for key in condition.keys]
    match condition.test:
        case "set":
            return any(value is not None for value in found)
        case "unset":
            return all(value is None for value in found)
        case "one_of":
            return all(not _is_open(value) and _is_in(value, condition.values) for value in found)
        case "none_of":
            return all(not _is_open(value) and not _is_in(value, condition.values) for value in found)
        case "uses":
            return all(_uses(value, condition.values) for value in found)
        case "above":
            return _is_above(*found)


def _is_open(value: Any) -> bool:
    """Whether the value will only be known when its references are resolved."""
    return isinstance(value, str) and has_reference(value)


def _is_in(value: Any, values: tuple[Any, ...]) -> bool:
    # JSON knows no equality of booleans and numbers, Python does.
    return any(isinstance(value, bool) == isinstance(other, bool) and value == other for other in values)


def _is_above(first: Any, second: Any) -> bool:
    numbers = [one for one in (first, second) if isinstance(one, int | float) and not isinstance(one, bool)]
    return len(numbers) == 2 and numbers[0] > numbers[1]


def _uses(value: Any, names: tuple[Any, ...]) -> bool:
    return isinstance(value, str) and not has_reference(value) and not placeholders(value).isdisjoint(names)
