"""JMESPath compiled to closures says what ``jmespath`` says."""

import json
import math
from pathlib import Path
from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from pg_tide_relay.expression import Expression, ExpressionError, is_false
from pg_tide_wire_formats.documents import compile_reader, parse

COMPLIANCE = Path(__file__).parent / "jmespath_compliance"
RAISES = "raises"


def compliance_cases() -> list[Any]:
    """Document, expression and the official result; an error stands as its name."""
    found = []
    for file in sorted(COMPLIANCE.glob("*.json")):
        for group in json.loads(file.read_text(encoding="utf-8")):
            for case in group["cases"]:
                if "result" in case or "error" in case:
                    expected = case.get("result", RAISES)
                    found.append(
                        pytest.param(
                            group["given"], case["expression"], expected, id=f"{file.stem}-{len(found)}"
                        )
                    )
    return found


def outcome(evaluate: Any, *arguments: Any) -> Any:
    """The value, or that there is none."""
    try:
        return evaluate(*arguments)
    except (JMESPathError, ExpressionError, TypeError, ValueError, ArithmeticError):
        return RAISES


def by_us(expression: str, document: Any) -> Any:
    return Expression(expression)(document)


def by_them(expression: str, document: Any) -> Any:
    return jmespath.search(expression, document)


@pytest.mark.parametrize(("document", "expression", "expected"), compliance_cases())
def test_the_official_cases_hold(document: Any, expression: str, expected: Any) -> None:
    """Read with the relay's own numbers; where the library differs from the suite, with the library."""
    ours = outcome(by_us, expression, parse(json.dumps(document).encode()))
    assert ours in (expected, outcome(by_them, expression, document))
    assert (ours == expected) or outcome(by_them, expression, document) != expected


NAMES = st.sampled_from(["a", "b", "c", "items"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "b", "1"]),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
LITERALS = SCALARS.map(lambda value: "`" + json.dumps(value) + "`")
PATHS = st.one_of(
    NAMES,
    LITERALS,
    st.just("@"),
    NAMES.map(lambda name: f"{name}[*]"),
    NAMES.map(lambda name: f"{name}[]"),
    NAMES.map(lambda name: f"{name}.*"),
    st.tuples(NAMES, st.integers(-3, 3)).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
    st.tuples(NAMES, st.integers(-2, 2), st.sampled_from([-2, -1, 1, 2])).map(
        lambda parts: f"{parts[0]}[{parts[1]}::{parts[2]}]"
    ),
)
COMPARATORS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
FUNCTIONS = st.sampled_from(
    [
        "length",
        "type",
        "not_null",
        "to_string",
        "to_number",
        "sum",
        "avg",
        "abs",
        "sort",
        "max",
        "keys",
        "to_array",
    ]
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Larger expressions of smaller ones."""
    return st.one_of(
        st.tuples(inner, COMPARATORS, inner).map(lambda parts: "({}) {} ({})".format(*parts)),
        st.tuples(inner, st.sampled_from(["&&", "||", "|"]), inner).map(
            lambda parts: "({}) {} ({})".format(*parts)
        ),
        inner.map(lambda one: f"!({one})"),
        st.tuples(inner, inner).map(lambda pair: "[{}, {}]".format(*pair)),
        st.tuples(inner, inner).map(lambda pair: "{{x: {}, y: {}}}".format(*pair)),
        st.tuples(NAMES, inner).map(lambda pair: f"{pair[0]}[?{pair[1]}]"),
        st.tuples(FUNCTIONS, inner).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.tuples(NAMES, inner).map(lambda pair: f"sort_by({pair[0]}, &({pair[1]}))"),
    )


@given(expression=st.recursive(PATHS, combined, max_leaves=6), document=DOCUMENTS)
def test_made_up_expressions_and_documents_give_what_the_library_gives(
    expression: str, document: Any
) -> None:
    """Numbers included, whichever way they were read."""
    theirs = outcome(by_them, expression, document)
    ours = outcome(by_us, expression, parse(json.dumps(document).encode()))
    assert same(ours, theirs), (ours, theirs)


@given(
    expression=st.recursive(PATHS, combined, max_leaves=6),
    document=st.one_of(st.dictionaries(NAMES, DOCUMENTS, max_size=5), DOCUMENTS),
)
def test_an_expression_finds_the_same_where_only_its_members_are_read(expression: str, document: Any) -> None:
    """Whatever it says that it looks at is enough; a condition does not need the digits, either."""
    compiled = Expression(expression)
    text = json.dumps(document).encode()
    whole = outcome(compiled, parse(text))
    if compiled.members is not None:
        assert same(outcome(compiled, compile_reader(compiled.members, exact=True)(text)), whole)
        if not compiled.writes_numbers:
            assert same(outcome(compiled, compile_reader(compiled.members, exact=False)(text)), whole)


@pytest.mark.parametrize(
    ("expression", "members"),
    [
        ("a", {"a"}),
        ("a.b.c > `1` && !d || e[0].f", {"a", "d", "e"}),
        ("a | b", {"a"}),
        ("{x: a, y: [b, c]}", {"a", "b", "c"}),
        ("items[?price > `1`].sku", {"items"}),
        ("items[].lines[*].sku", {"items"}),
        ("a.*", {"a"}),
        ("length(a) > length(b)", {"a", "b"}),
        ("sort_by(items, &price)", {"items"}),
        ("a == _message.old_payload.a", {"a"}),
        ("`1`", set()),
        ("@", None),
        ("*", None),
        ("[0]", None),
        ("keys(@)", None),
        ("@.a", None),
        ("a || @", None),
    ],
)
def test_an_expression_knows_the_members_it_looks_at(expression: str, members: set[str] | None) -> None:
    assert Expression(expression).members == members


def same(one: Any, other: Any) -> bool:
    """Equal, a boolean equal only to a boolean, and what is no number equal to what is none."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(map(same, one.values(), other.values()))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


@pytest.mark.parametrize("value", [None, False, "", [], {}])
def test_what_is_false_in_jmespath(value: Any) -> None:
    assert is_false(value)


@pytest.mark.parametrize("value", [0, 0.0, True, 1, "0", [0], {"a": None}])
def test_zero_is_true_in_jmespath(value: Any) -> None:
    assert not is_false(value)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("_message.op", "update"),
        ("items[?price > _message.old.limit].price", [3]),
        ("{op: _message.op, all: @}", {"op": "update", "all": {"items": [{"price": 1}, {"price": 3}]}}),
        ("length(_message.op)", 6),
        ("max_by(items, &_message.rank)", {"price": 1}),
    ],
)
def test_the_metadata_can_be_named_anywhere_and_is_no_part_of_the_document(
    expression: str, expected: Any
) -> None:
    """In filters of lists and in arguments as well; a projection of everything does not carry it along."""
    document = {"items": [{"price": 1}, {"price": 3}]}
    message = {"op": "update", "old": {"limit": 2}, "rank": 1}
    assert outcome(lambda: Expression(expression)(document, message)) == expected


def test_an_expression_says_what_it_asks_for() -> None:
    assert Expression("a[?_message.op == 'x']").asks_for_message
    assert not Expression("message || '_message'").asks_for_message
    assert Expression("sum(a)").computes
    assert not Expression("a.b").computes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a >",
            "'a >' is no JMESPath expression: Invalid jmespath expression: Incomplete expression at column 3",
        ),
        (
            "a = b",
            "'a = b' is no JMESPath expression: Bad jmespath expression: Unknown token '=' at column 2",
        ),
        (
            "a b",
            "'a b' is no JMESPath expression: Unexpected token: b: Parse error at column 2, token \"b\""
            " (UNQUOTED_IDENTIFIER)",
        ),
        ("", "'' is no JMESPath expression: Invalid JMESPath expression: cannot be empty"),
        ("nosuch(a)", "'nosuch(a)' calls nosuch(), which is no function of JMESPath"),
    ],
)
def test_what_does_not_compile_is_refused_with_its_reason(text: str, said: str) -> None:
    """An unknown function as well, which the library tells only when it is called."""
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert str(caught.value) == said
