"""A configuration held against the rule document; ``tide._config_check`` does the same in SQL.

Whatever is changed here must be changed there: the tests feed the same configurations to both and
compare verdicts, paths and messages.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pg_tide_relay.config import paths
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.config.placeholders import has_reference, reference_faults
from pg_tide_relay.config.problems import Problem, in_order
from pg_tide_relay.config.relations import holds, relation_from
from pg_tide_relay.config.text_faults import JsonObject, enum_fault, text_faults

_FOUND = {
    "string": "a string",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_WANTED = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "list": "array",
    "object": "object",
    "map": "object",
    "tagged": "object",
}
# Which variables a path's string named before they were resolved; None: the stored form is checked.
Resolved = Mapping[str, tuple[str, ...]] | None


def check(rules: JsonObject, config: Any, resolved: Resolved = None) -> list[Problem]:
    """All problems of a configuration, errors first.

    In the stored form (``resolved`` is None) a string with a reference is only checked for the
    reference itself. In the resolved form strings that came from the environment are never quoted.
    """
    return in_order(_value(rules, config, paths.ROOT, resolved))


def _value(rule: JsonObject, value: Any, path: str, resolved: Resolved) -> Iterator[Problem]:
    found = _json_type(value)
    if rule["type"] == "union" and found in rule["options"]:
        yield from _value(rule["options"][found], value, path, resolved)
    elif rule["type"] == "any" or (found == "null" and rule.get("nullable", False)):
        return
    elif found != _WANTED.get(rule["type"]):
        yield _error(path, f"must be {rule['what']}, not {_FOUND[found]}")
    else:
        yield from _typed(rule, value, path, resolved)


def _typed(rule: JsonObject, value: Any, path: str, resolved: Resolved) -> Iterator[Problem]:
    match rule["type"]:
        case "object":
            yield from _object(rule, value, path, resolved)
        case "map":
            yield from _map(rule, value, path, resolved)
        case "tagged":
            yield from _tagged(rule, value, path, resolved)
        case "list":
            yield from _list(rule, value, path, resolved)
        case "string":
            yield from _string(rule, value, path, resolved)
        case "integer" | "number":
            if not _is_in_range(rule, value):
                yield _error(path, f"must be {rule['expects']}")


def _object(rule: JsonObject, value: JsonObject, path: str, resolved: Resolved) -> Iterator[Problem]:
    keys = rule["keys"]
    for key in value.keys() - keys.keys():
        yield _error(paths.of_key(path, key), _unknown_key(rule, key))
    for key, entry in keys.items():
        if key in value:
            yield from _value(entry["rule"], value[key], paths.of_key(path, key), resolved)
        elif entry["required"]:
            yield _error(paths.of_key(path, key), "is required")
    for data in rule["relations"]:
        relation = relation_from(data)
        values = {key: _effective(rule, value, key) for condition in relation.when for key in condition.keys}
        if holds(relation, values):
            at = path
            for part in relation.at.split("."):
                at = paths.of_key(at, part)
            yield Problem(path=at, severity=relation.severity, message=relation.message)


def _unknown_key(rule: JsonObject, key: str) -> str:
    if key in rule["not_yet"]:
        return f"{key} is not available in this version"
    guess = nearest(key, rule["keys"])
    return "unknown key" if guess is None else f'unknown key; did you mean "{guess}"?'


def _effective(rule: JsonObject, value: Any, dotted: str) -> Any:
    """The value of a key, dotted when nested, or the default where it is missing."""
    for part in dotted.split("."):
        if not isinstance(value, Mapping):
            return None
        entry = rule["keys"][part]
        value = value.get(part, entry.get("default"))
        rule = entry["rule"]
    return value


def _map(rule: JsonObject, value: JsonObject, path: str, resolved: Resolved) -> Iterator[Problem]:
    for key, item in value.items():
        at = paths.of_key(path, key)
        for fault in text_faults(rule["names"], key):
            yield _error(at, f"the name {fault}")
        yield from _value(rule["values"], item, at, resolved)


def _tagged(rule: JsonObject, value: JsonObject, path: str, resolved: Resolved) -> Iterator[Problem]:
    tag = value.get(rule["tag"])
    at = paths.of_key(path, rule["tag"])
    if rule["tag"] not in value:
        yield _error(at, "is required")
    elif not isinstance(tag, str):
        yield _error(at, f"must be a string, not {_FOUND[_json_type(tag)]}")
    elif tag not in rule["variants"]:
        yield _error(at, enum_fault(rule, tag))
    else:
        yield from _object(rule["variants"][tag], value, path, resolved)


def _list(rule: JsonObject, value: list[Any], path: str, resolved: Resolved) -> Iterator[Problem]:
    if not rule.get("length_min", 0) <= len(value) <= rule.get("length_max", len(value)):
        yield _error(path, f"must be {rule['expects']}")
    for index, item in enumerate(value):
        yield from _value(rule["items"], item, paths.of_item(path, index), resolved)


def _string(rule: JsonObject, value: str, path: str, resolved: Resolved) -> Iterator[Problem]:
    is_open = resolved is None and has_reference(value)
    faults = reference_faults(value) if is_open else text_faults(rule, value)
    if faults and resolved is not None and path in resolved:
        names = ", ".join(f"${{env:{name}}}" for name in resolved[path])
        faults = [f"with {names} resolved: must be {rule['expects']}"]
    for fault in faults:
        yield _error(path, fault)


def _is_in_range(rule: JsonObject, value: float) -> bool:
    return (
        (rule["type"] == "number" or isinstance(value, int) or value.is_integer())
        and ("min" not in rule or value >= rule["min"])
        and ("max" not in rule or value <= rule["max"])
        and ("above" not in rule or value > rule["above"])
        and ("below" not in rule or value < rule["below"])
    )


def _json_type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int() | float():
            return "number"
        case list():
            return "array"
        case Mapping():
            return "object"
    raise TypeError(f"{type(value).__name__} is no type of JSON")


def _error(path: str, message: str) -> Problem:
    return Problem(path=path, severity="error", message=message)
