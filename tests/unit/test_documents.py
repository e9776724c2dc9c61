"""Documents leave as they came."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_tide_wire_formats.documents import (
    DocumentError,
    Number,
    compile_reader,
    parse,
    refuse_what_json_has_not,
    render,
)

NUMBERS = [
    "0", "-1", "1.10", "9007199254740993", "18446744073709551616", "-9223372036854775809", "0.1000000000000000055",
    "123456789012345678901234567890.123456789012345678901234567890", "1e400", "-1E-400", "1" * 5000,
    "1" * 5000 + "." + "2" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("text", ["{}", '{{"a":{}}}', '[1,{},"x"]'])
def test_numbers_keep_every_digit(text: str, number: str) -> None:
    """Above 2^53 and above 64 bits, beyond the range of a double, and with their scale."""
    document = text.format(number)
    assert render(parse(document.encode())) == document.encode()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
        ),
    )
)
def test_documents_survive(document: Any) -> None:
    """What a projection of everything gives is the document."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    assert json.loads(render(parse(text.encode()))) == document
    assert parse(text.encode()) == document


def test_members_that_nobody_looks_at_are_not_read() -> None:
    """Whatever their names; what is no object is read whole."""
    read = compile_reader(["a b", "class", "c"], exact=True)
    document = read(b'{"class": 1.10, "x": [1, {"y": 2}], "c": 12345678901234567890123, "a b": null}')
    assert document == {"class": 1.1, "c": 12345678901234567890123, "a b": None}
    assert render(document["class"]) == b"1.10"
    assert compile_reader(["class"], exact=False)(b'{"class": 1.10}') == {"class": 1.1}
    assert read(b"[1.10]") == [1.1]
    with pytest.raises(DocumentError):
        read(b"{")


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=4))
def test_a_member_of_any_name_is_found(names: set[str]) -> None:
    """Alone, and among others."""
    text = json.dumps({name: place for place, name in enumerate(names)}, ensure_ascii=False).encode()
    for place, name in enumerate(names):
        assert compile_reader([name], exact=True)(text)[name] == place
    assert compile_reader(names, exact=False)(text) == {name: place for place, name in enumerate(names)}


def test_a_number_is_a_double_to_whoever_computes() -> None:
    number = parse(b"1.10")
    assert isinstance(number, Number)
    assert number == 1.1
    assert number + 1 == 2.1
    assert type(number).__name__ == "float"


@pytest.mark.parametrize("text", [b"", b"{", b"nul", b"'a'", b"[" * 10_000 + b"]" * 10_000])
def test_what_is_no_document_is_refused(text: bytes) -> None:
    with pytest.raises(DocumentError):
        parse(text)


@pytest.mark.parametrize("value", [float("inf"), [float("nan")], {"a": [float("-inf")]}])
def test_a_result_that_json_can_not_express_is_refused(value: Any) -> None:
    """It would be written as null."""
    with pytest.raises(DocumentError):
        refuse_what_json_has_not(value)


def test_numbers_read_are_never_refused() -> None:
    refuse_what_json_has_not(parse(b'{"a": [1e400, 2]}'))


@pytest.mark.parametrize("value", ["\ud800", {"a": object()}])
def test_a_value_that_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(DocumentError):
        render(value)
