"""Configurations for tests that compare the readers of the rule language: a table, and random ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from hypothesis import strategies as st
from pydantic import Field, SecretStr

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.marks import About, Entries, Matches, NotPrefixed, NotYet, Template
from pg_tide_relay.config.relations import Condition, Relation, Test, only_with, together


def table() -> list[tuple[str, Any, list[list[str]]]]:
    """Name, configuration and the problems it has, from ``cases.json``."""
    read = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
    based = [(name, read["base"] | keys, problems) for name, keys, problems in read["cases"]]
    return [*based, *((name, config, problems) for name, config, problems in read["whole"])]


# One test of one value: the test, the value, the values of the condition, what comes out.
CONDITIONS: list[tuple[Test, Any, list[Any], bool]] = [
    ("set", None, [], False),
    ("set", False, [], True),
    ("set", "${env:X}", [], True),
    ("unset", None, [], True),
    ("unset", "", [], False),
    ("one_of", True, [1], False),
    ("one_of", 1, [True, "1"], False),
    ("one_of", 1.0, [1], True),
    ("one_of", "1", ["0", "1"], True),
    ("one_of", "${env:X}", ["${env:X}"], False),
    ("one_of", [1], [1], False),
    ("one_of", None, [1], False),
    ("none_of", 0, [False], True),
    ("none_of", False, [False], False),
    ("none_of", None, ["a"], True),
    ("none_of", "${env:X}", ["a"], False),
    ("uses", "{a}{b}", ["b", "c"], True),
    ("uses", "{a}", ["b"], False),
    ("uses", "{{a}}", ["a"], False),
    ("uses", "{a}${env:X}", ["a"], False),
    ("uses", None, ["a"], False),
    ("uses", 1, ["a"], False),
]


class Leaf(ConfigModel):
    """An object inside an object inside an object."""

    depth: int = 3
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    limit: Annotated[float, Field(lt=2.5)] | None = None

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        Relation(
            at="depth",
            when=(Condition(test="one_of", keys=("depth",), values=(7, "7", True)),),
            severity="warning",
            message="seven is deep",
        ),
    )


class Branch(ConfigModel):
    """An object with a nested one that is optional, and a relation inside."""

    leaf: Leaf = Leaf()
    spare: Leaf | None = None
    left: bool = False
    right: bool = False

    RELATIONS: ClassVar[tuple[Relation, ...]] = only_with("left", True, "spare")


class FileStore(ConfigModel):
    kind: Literal["file"]
    path: Annotated[str, Field(min_length=1, max_length=4)]


class TableStore(ConfigModel):
    kind: Annotated[Literal["table", "view"], NotYet(("index",))]
    columns: Annotated[list[Annotated[str, Field(max_length=3)]], Field(min_length=1)]
    unlogged: bool = False

    NOT_YET: ClassVar[tuple[str, ...]] = ("partitions",)


Rule = Annotated[FileStore | TableStore, Field(discriminator="kind")]
Name = Annotated[str, Field(min_length=1, max_length=5), NotPrefixed(expects="a name", prefix="no_")]


class MadeUp(ConfigModel):
    """Everything that the rule language can say, in one model."""

    wanted: Annotated[int, About(reason="none"), Field(ge=-5, lt=5)]
    small: Annotated[int, Field(gt=0)] = 1
    named: Annotated[str, Matches(expects="two letters and digits", pattern=r"[a-z]{2}(?:[0-9]+|\.)?")] = "ab"
    listed: Annotated[list[int | None], Field(min_length=1, max_length=3)] | None = None
    mixed: bool | int | list[str | list[bool]] | dict[Name, int | str] | None = None
    store: Rule | None = None
    stores: list[Rule] = Field(default_factory=list)
    branch: Branch = Branch()
    by_name: dict[Name, Branch | None] = Field(default_factory=dict)
    template: Annotated[
        str,
        Field(max_length=30),
        Template(
            expects="a template",
            placeholders=("one", "two", "three"),
            literal="[a-z{}./]",
            literal_expects="small letters only",
            literal_length_max=6,
            refused=("none", "{"),
        ),
    ] = "{one}"
    entries: Annotated[str | None, About(reason="none")] = None
    pairs: (
        Annotated[str, Entries(expects="pairs", pattern="[a-c]=[0-9]?", entry_expects="x=1", separator=";")]
        | None
    ) = None
    secret: Annotated[SecretStr, Field(min_length=2)] | None = None
    free: str | dict[str, Any] | None = None

    NOT_YET: ClassVar[tuple[str, ...]] = ("future", "späte ehre")
    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        *together("secret", "entries", "pairs"),
        *only_with("branch.left", True, "listed"),
        Relation(
            at="branch.leaf.depth",
            when=(
                Condition(test="one_of", keys=("branch.leaf.depth", "small"), values=(1, 2, 3)),
                Condition(test="unset", keys=("branch.leaf.limit", "store")),
                Condition(test="set", keys=("mixed", "branch.spare")),
            ),
            severity="error",
            message="too shallow for small, store and mixed",
        ),
        Relation(
            at="template",
            when=(
                Condition(test="uses", keys=("template",), values=("two", "three")),
                Condition(test="none_of", keys=("named",), values=("ab", None)),
            ),
            severity="warning",
            message="two and three are rare",
        ),
    )


# Text that PostgreSQL's jsonb can hold: no NUL, no lone surrogates.
_letters = st.characters(codec="utf-8", exclude_characters="\0")
_pieces = st.sampled_from(
    [
        "{op}",
        "{one}",
        "{onne}",
        "{two}",
        "{dedup_key}",
        "${env:KAFKA_A}",
        "${env:",
        "${",
        "pg_tide_",
        "no_",
        *'{}$ab=1;:,. \n"\\ä𝕏',
    ]
)
texts = st.one_of(st.text(_letters, max_size=8), st.lists(_pieces, max_size=6).map("".join))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.0, 1e2, -0.0, 1e22, 0.1]),
    texts,
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def following(draw: st.DrawFn, rule: dict[str, Any]) -> Any:
    """Values that mostly follow a rule, and here and there do not."""
    if draw(st.integers(0, 11)) == 0:
        return draw(anything)
    if rule.get("nullable", False) and draw(st.integers(0, 5)) == 0:
        return None
    return draw(_OF_TYPE[rule["type"]](rule))


def _maps(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(texts | _near("alpha"), following(rule["values"]), max_size=3)


def _lists(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.lists(following(rule["items"]), max_size=4)


def _unions(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.one_of([following(option) for option in rule["options"].values()])


def _booleans(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.booleans()


def _anything(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    return anything


@st.composite
def _tagged(draw: st.DrawFn, rule: dict[str, Any]) -> dict[str, Any]:
    name = draw(st.sampled_from(rule["enum"]))
    value = draw(_objects(rule["variants"][name]))
    return {rule["tag"]: draw(st.just(name) | _near(name))} | value


@st.composite
def _objects(draw: st.DrawFn, rule: dict[str, Any]) -> dict[str, Any]:
    value = {}
    for key, entry in rule["keys"].items():
        if entry["required"] or draw(st.integers(0, 2)) == 0:
            value[key] = draw(following(entry["rule"]))
    if draw(st.integers(0, 9)) == 0:
        value.pop(draw(st.sampled_from(list(rule["keys"]))), None)
    if draw(st.integers(0, 9)) == 0:
        known = [*rule["keys"], *rule["not_yet"]]
        value[draw(_near(draw(st.sampled_from(known))) | texts)] = draw(anything)
    return value


@st.composite
def _near(draw: st.DrawFn, name: str) -> str:
    """A name with a few typing errors, or none."""
    letters = list(name)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(letters)))
        letters[place : place + draw(st.integers(0, 1))] = draw(st.text(_letters | st.just("e"), max_size=1))
    text = "".join(letters)
    return text.upper() if draw(st.integers(0, 4)) == 0 else text


@st.composite
def _numbers(draw: st.DrawFn, rule: dict[str, Any]) -> float:
    bounds = [rule[bound] for bound in ("min", "max", "above", "below") if bound in rule] or [0]
    number = draw(st.sampled_from(bounds)) + draw(st.sampled_from([-1, -0.25, 0, 0.0, 0.25, 1, 1.0]))
    choice: float = draw(st.sampled_from([number, int(number), 7, 1e2]))
    return choice


@st.composite
def _strings(draw: st.DrawFn, rule: dict[str, Any]) -> str:
    if "enum" in rule:
        name = draw(st.sampled_from([*rule["enum"], *rule["not_yet"]]))
        return draw(st.just(name) | _near(name) | texts)
    if "entries" in rule:
        separator: str = rule["entries"]["separator"]
        return separator.join(
            draw(st.lists(st.sampled_from(["a:1", " [::1]:9 ", "b=1", "a=", ""]), max_size=3))
        )
    if "template" in rule:
        names = [f"{{{name}}}" for name in rule["template"]["placeholders"]]
        return "".join(
            draw(st.lists(st.sampled_from([*names, "a", ".", "{{", "none"]) | _pieces, max_size=4))
        )
    return draw(texts | st.sampled_from(["ab", "ab12", "ab.", "ab\n", "xyz"]))


_OF_TYPE: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "object": _objects,
    "map": _maps,
    "tagged": _tagged,
    "list": _lists,
    "union": _unions,
    "boolean": _booleans,
    "any": _anything,
    "integer": _numbers,
    "number": _numbers,
    "string": _strings,
}
