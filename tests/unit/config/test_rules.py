"""What the rule language can express, and how it refuses what it can't."""

from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, create_model

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.keys import keys_of
from pg_tide_relay.config.marks import Matches, Template
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.config.relations import Condition, Relation, Test, holds, only_with
from pg_tide_relay.config.rules import RuleError, rules_of
from pg_tide_relay.config.templates import placeholders, tokens
from unit.config.configurations import CONDITIONS


def model_with(annotation: Any) -> type[ConfigModel]:
    return create_model("Made", __base__=ConfigModel, key=(annotation, ...))


@pytest.mark.parametrize(
    ("annotation", "rule"),
    [
        (bool, {"type": "boolean", "what": "true or false"}),
        (
            Annotated[int, Field(ge=1, le=3)] | None,
            {
                "type": "integer",
                "what": "a whole number or null",
                "min": 1,
                "max": 3,
                "expects": "a whole number from 1 to 3",
                "nullable": True,
            },
        ),
        (
            Annotated[float, Field(gt=0.5, le=2)],
            {
                "type": "number",
                "what": "a number",
                "above": 0.5,
                "max": 2,
                "expects": "a number above 0.5 and at most 2",
            },
        ),
        (
            Annotated[list[str], Field(max_length=2)],
            {
                "type": "list",
                "what": "a list",
                "items": {"type": "string", "what": "a string", "expects": "a string"},
                "length_max": 2,
                "expects": "a list of at most 2 items",
            },
        ),
    ],
)
def test_annotations_become_rules(annotation: Any, rule: dict[str, Any]) -> None:
    """Types, ranges and lengths stand in the document as data, with the words of their messages."""
    assert rules_of(model_with(annotation))["keys"]["key"] == {"required": True, "rule": rule}


@pytest.mark.parametrize(
    "annotation",
    [
        bytes,
        tuple[int, ...],
        int | float,
        list[int] | list[str],
        Annotated[str | None, Field(min_length=1)],
        Annotated[str, Matches(expects="x", pattern=r"\d+")],
        Annotated[str, Matches(expects="x", pattern="^x$")],
        Annotated[str, Matches(expects="x", pattern="x.*")],
        Annotated[str, Matches(expects="x", pattern="x+?")],
        Annotated[str, Matches(expects="x", pattern="(?i:x)")],
        Annotated[str, Matches(expects="x", pattern="[[:alpha:]]")],
        Annotated[str, Matches(expects="x", pattern="[^x]")],
        Annotated[str, Template(expects="x", placeholders=("a",), literal="[ä]")],
    ],
)
def test_what_the_language_can_not_say_is_refused(annotation: Any) -> None:
    """A model can't promise in Python what SQL would not check."""
    with pytest.raises(RuleError):
        rules_of(model_with(annotation))


def test_an_enumeration_of_numbers_is_refused() -> None:
    """Enumerations are of strings."""
    with pytest.raises(RuleError):
        rules_of(model_with(Literal[1, 2]))


@pytest.mark.parametrize(
    "relation",
    [
        *only_with("wanted", True, "key"),
        Relation(at="key.x", when=(), severity="error", message=""),
        Relation(at="key", when=(Condition(test="set", keys=("kye",)),), severity="error", message=""),
    ],
)
def test_a_relation_between_keys_that_do_not_exist_is_refused(relation: Relation) -> None:
    """A misspelt key in a relation would otherwise never be noticed."""

    class Related(ConfigModel):
        key: str = ""
        RELATIONS: ClassVar[tuple[Relation, ...]] = (relation,)

    with pytest.raises(RuleError):
        rules_of(Related)


def test_a_key_without_description_is_refused() -> None:
    """The reference has no empty lines."""
    with pytest.raises(RuleError):
        list(keys_of(model_with(int)))


@pytest.mark.parametrize(
    ("word", "candidates", "expected"),
    [
        ("brokrs", ["topic", "brokers"], "brokers"),
        ("BROKERS", ["topic", "brokers"], "brokers"),
        ("order", ["orders", "border"], "border"),
        ("orders", ["order", "orders2", "ordera"], "order"),
        ("abc", ["abcd", "bc"], "abcd"),
        ("ab", ["abc", "b"], None),
        ("a", ["b"], None),
        ("", ["a"], None),
        ("abcdefghi", ["abcdefxyz"], "abcdefxyz"),
        ("abcdefgh", ["abcdexyz"], None),
        ("größe", ["grosse", "große"], "große"),
        ("x", [], None),
    ],
)
def test_the_nearest_name_is_near(word: str, candidates: list[str], expected: str | None) -> None:
    """A third of the word may differ; of equals the first by code point; nothing rather than nonsense."""
    assert nearest(word, candidates) == expected


@pytest.mark.parametrize(("test", "value", "values", "expected"), CONDITIONS)
def test_a_condition_means_what_it_says(test: Test, value: Any, values: list[Any], expected: bool) -> None:
    """Booleans are no numbers, and what a reference will be is not known."""
    condition = Condition(test=test, keys=("key",), values=tuple(values))
    assert (
        holds(Relation(at="key", when=(condition,), severity="error", message=""), {"key": value}) == expected
    )


def test_a_template_is_cut_into_its_pieces() -> None:
    """Texts, doubled braces, placeholders and stray braces, each with its place."""
    found = [(token.kind, token.text, token.position) for token in tokens("ä{{{op}}}{}{x}}{")]
    assert found == [
        ("text", "ä", 1),
        ("text", "{", 2),
        ("placeholder", "op", 4),
        ("text", "}", 8),
        ("placeholder", "", 10),
        ("placeholder", "x", 12),
        ("close", "}", 15),
        ("open", "{", 16),
    ]
    assert placeholders("{{a}}{b}{c}{b}") == {"b", "c"}
