"""The models as one JSON document: the rule language that Python and SQL both read.

A rule is an object. Every rule has ``type`` and ``what`` (completes "must be ..., not a number"),
and ``nullable`` when null is allowed. By type:

=========  ==========================================================================================
object     ``keys``: name → {``required``, ``default``, ``rule``}; ``not_yet``: names refused as such;
           ``relations``: see ``relations``
map        ``names``: rule of the keys (a string); ``values``: rule of the values
list       ``items``: rule; ``length_min``, ``length_max``
string     ``length_min``, ``length_max``, ``enum``, ``not_yet``, ``pattern``, ``entries``, ``template``,
           ``reserved_prefix``: see ``marks``
integer,   ``min``, ``max``, ``above``, ``below``; a JSON number without a fraction is an integer,
number     whether it was written 100, 100.0 or 1e2
boolean    nothing more
any        nothing more: whatever JSON can say
union      ``options``: JSON type → rule; no two options have the same JSON type
tagged     ``tag``: the key that tells which; ``variants``: its value → rule of an object
=========  ==========================================================================================

``expects`` completes "must be ..." for a value of the right type. All words are put together here,
so that the two readers of the document only have to copy them.

Regular expressions are kept to what means the same in Python and PostgreSQL: characters, escaped
punctuation, classes of ASCII ranges, ``(?:...)``, ``|`` and greedy repetition. They match the whole.
"""

import re
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from pg_tide_relay.config import words
from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.marks import About, NotYet, TextRule
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.relations import Relation, relation_as_data
from pg_tide_relay.config.text_faults import JsonObject

_BOUNDS = ((Ge, "ge", "min"), (Le, "le", "max"), (Gt, "gt", "above"), (Lt, "lt", "below"))
_SCALARS: dict[Any, str] = {
    str: "string",
    SecretStr: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
}
_JSON_TYPES = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "list": "array",
    "object": "object",
    "map": "object",
    "tagged": "object",
}
_PORTABLE = re.compile(
    r"(?:[A-Za-z0-9 _:/%@=-]|\\[][().*+?{}|^$\\-]|\[[A-Za-z0-9 ._%:;,=@/{}-]+\]|\(\?:|\)|\||[*+?](?![?+])"
    r"|\{[0-9]+(?:,[0-9]*)?\}(?![?+]))*"
)


class RuleError(TypeError):
    """A model says something that the rule language can't express."""


@cache
def pipeline_rules() -> JsonObject:
    """The rules of a pipeline's configuration."""
    return rules_of(PipelineConfig)


def rules_of(model: type[ConfigModel]) -> JsonObject:
    """The rule of an object, from its model."""
    keys = {name: _key(f"{model.__name__}.{name}", field) for name, field in model.model_fields.items()}
    for relation in model.RELATIONS:
        _check_relation(model, relation)
    return {
        "type": "object",
        "what": "an object",
        "keys": keys,
        "not_yet": list(model.NOT_YET),
        "relations": [relation_as_data(relation) for relation in model.RELATIONS],
    }


def field_marks(field: FieldInfo) -> list[Any]:
    """Everything the annotation of a field says beyond its type."""
    own = [field] if field.discriminator else []
    return [*own, *_flat(field.metadata)]


def _key(place: str, field: FieldInfo) -> JsonObject:
    marks = field_marks(field)
    unit = next((mark.unit for mark in marks if isinstance(mark, About)), None)
    rule = _rule(place, field.annotation, marks, unit)
    if field.is_required():
        return {"required": True, "rule": rule}
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, ConfigModel):
        default = default.model_dump(mode="json")
    return {"required": False, "default": default, "rule": rule}


def _rule(place: str, annotation: Any, marks: list[Any], unit: str | None = None) -> JsonObject:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _rule(place, inner, [*_flat(more), *marks], unit)
    if get_origin(annotation) in (Union, UnionType):
        return _union(place, annotation, marks, unit)
    if get_origin(annotation) is Literal:
        return _literal(place, annotation, marks)
    if get_origin(annotation) is list:
        return _list(place, annotation, marks)
    if get_origin(annotation) is dict:
        names, values = get_args(annotation)
        return {
            "type": "map",
            "what": "an object",
            "names": _rule(f"{place} (names)", names, []),
            "values": _rule(f"{place} (values)", values, []),
        }
    if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
        return rules_of(annotation)
    if annotation is Any:
        return {"type": "any", "what": "anything"}
    if annotation in _SCALARS:
        return _scalar(place, _SCALARS[annotation], marks, unit)
    raise RuleError(f"{place}: the rule language has no type for {annotation}")


def _scalar(place: str, kind: str, marks: list[Any], unit: str | None) -> JsonObject:
    rule: JsonObject = {"type": kind, "what": words.KINDS[kind]}
    rule |= _bounds(marks)
    rule |= _lengths(marks)
    if kind in ("integer", "number"):
        rule["expects"] = words.number(kind, rule, unit)
    if kind == "string":
        rule["expects"] = words.string(rule)
    for mark in marks:
        if isinstance(mark, TextRule):
            _check_patterns(place, mark.as_data())
            rule |= mark.as_data() | {"expects": mark.expects}
    return rule


def _literal(place: str, annotation: Any, marks: list[Any]) -> JsonObject:
    values = list(get_args(annotation))
    if not all(isinstance(value, str) for value in values):
        raise RuleError(f"{place}: an enumeration must be of strings")
    refused = [value for mark in marks if isinstance(mark, NotYet) for value in mark.values]
    return {
        "type": "string",
        "what": "a string",
        "enum": values,
        "not_yet": refused,
        "expects": words.one_of(values),
    }


def _list(place: str, annotation: Any, marks: list[Any]) -> JsonObject:
    (items,) = get_args(annotation)
    rule = {"type": "list", "what": "a list", "items": _rule(f"{place}[]", items, [])} | _lengths(marks)
    return rule | {"expects": words.sized("a list", rule, "items")}


def _union(place: str, annotation: Any, marks: list[Any], unit: str | None) -> JsonObject:
    members = [member for member in get_args(annotation) if member is not NoneType]
    nullable = NoneType in get_args(annotation)
    tags = [mark.discriminator for mark in marks if isinstance(mark, FieldInfo) and mark.discriminator]
    if any(isinstance(mark, TextRule | MinLen | MaxLen | Ge | Le | Gt | Lt) for mark in marks):
        raise RuleError(f"{place}: put the restriction on the member of the union that it concerns")
    if tags:
        rule = _tagged(place, members, str(tags[0]))
    elif len(members) == 1:
        rule = _rule(place, members[0], [mark for mark in marks if isinstance(mark, NotYet)], unit)
    else:
        rule = _options(place, [_rule(place, member, [], unit) for member in members])
    return rule | {"nullable": True, "what": f"{rule['what']} or null"} if nullable else rule


def _options(place: str, rules: list[JsonObject]) -> JsonObject:
    options = {_JSON_TYPES[rule["type"]]: rule for rule in rules if rule["type"] in _JSON_TYPES}
    if len(options) != len(rules):
        raise RuleError(f"{place}: two members of the union are the same type of JSON")
    return {"type": "union", "what": " or ".join(rule["what"] for rule in rules), "options": options}


def _tagged(place: str, members: list[Any], tag: str) -> JsonObject:
    variants: JsonObject = {}
    for member in members:
        rule = _rule(place, member, [])
        for value in rule["keys"][tag]["rule"]["enum"]:
            variants[value] = rule
    return {
        "type": "tagged",
        "what": "an object",
        "tag": tag,
        "variants": variants,
        "enum": list(variants),
        "expects": words.one_of(list(variants)),
    }


def _flat(marks: Any) -> list[Any]:
    """Marks with those inside ``Field(...)`` taken out; the field itself stays for its discriminator."""
    flat: list[Any] = []
    for mark in marks:
        flat.append(mark)
        if isinstance(mark, FieldInfo):
            flat.extend(mark.metadata)
    return flat


def _bounds(marks: list[Any]) -> JsonObject:
    return {
        name: getattr(mark, field) for mark in marks for kind, field, name in _BOUNDS if type(mark) is kind
    }


def _lengths(marks: list[Any]) -> JsonObject:
    lengths: JsonObject = {}
    for mark in marks:
        if isinstance(mark, MinLen):
            lengths["length_min"] = mark.min_length
        if isinstance(mark, MaxLen):
            lengths["length_max"] = mark.max_length
    return lengths


def _check_patterns(place: str, data: JsonObject) -> None:
    candidates = (
        data.get("pattern"),
        data.get("entries", {}).get("pattern"),
        data.get("template", {}).get("literal"),
    )
    for pattern in candidates:
        if pattern is not None and _PORTABLE.fullmatch(pattern) is None:
            raise RuleError(f"{place}: {pattern} may not mean the same in Python and PostgreSQL")


def _check_relation(model: type[ConfigModel], relation: Relation) -> None:
    keys = {relation.at, *(key for condition in relation.when for key in condition.keys)}
    for key in sorted(keys):
        owner: Any = model
        for part in key.split("."):
            fields = owner.model_fields if isinstance(owner, type) and issubclass(owner, ConfigModel) else {}
            if part not in fields:
                raise RuleError(f"{model.__name__}: a relation names {key}, which is no key")
            owner = fields[part].annotation
