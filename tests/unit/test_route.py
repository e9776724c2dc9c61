"""Topics and record keys from templates."""

import pytest

from delivery_kit import a_row
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import Row
from pg_tide_relay.route import compile_key, compile_topic, is_topic, known_topics


def topic_for(template: str, outbox: str, row: Row) -> str:
    topic = compile_topic(template, outbox)
    return topic if isinstance(topic, str) else topic(row)


@pytest.mark.parametrize(
    ("template", "op", "expected"),
    [
        ("events.{stream_table}.{op}", b"insert", "events.orders.insert"),
        ("orders.events.{op}", b"update", "orders.events.update"),
        ("orders.events.{op}", b"delete", "orders.events.delete"),
        ("{stream_table}-{outbox_id}", b"insert", "orders-42"),
        ("plain", b"insert", "plain"),
    ],
)
def test_a_topic_template_gives_the_topic(template: str, op: bytes, expected: str) -> None:
    """Placeholders stand for the outbox's name, the operation and the message's id."""
    assert topic_for(template, "orders", a_row(42, op=op)) == expected


@pytest.mark.parametrize("template", ["plain", "events.{stream_table}"])
def test_a_topic_that_never_changes_is_known_before_the_first_message(template: str) -> None:
    """A constant topic costs nothing per message: there is nothing to call."""
    assert isinstance(compile_topic(template, "orders"), str)


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 249, "...", "_"])
def test_a_legal_topic_name_is_accepted(name: str) -> None:
    """Letters, digits, dot, underscore, dash, up to 249 of them."""
    assert is_topic(name)


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 250, "a b", "ü", "a/b", "a\n"])
def test_an_illegal_topic_name_is_refused(name: str) -> None:
    """What a broker would refuse is found before anything is handed over."""
    assert not is_topic(name)


def test_an_illegal_topic_for_all_messages_is_the_pipelines_error() -> None:
    """The name of the outbox makes every topic illegal: no message is to blame."""
    with pytest.raises(ConfigurationError, match="not a legal name of a topic"):
        compile_topic("{stream_table}", "my orders")


def test_an_illegal_topic_for_one_message_is_the_messages_error() -> None:
    """Only this message's topic is too long; the error names the message."""
    topic_of = compile_topic("x" * 230 + "{outbox_id}", "orders")
    assert not isinstance(topic_of, str)
    assert topic_of(a_row(7)).endswith("x7")
    with pytest.raises(MessageError) as caught:
        topic_of(a_row(10**19))
    assert caught.value.message_id == 10**19


def test_an_unknown_placeholder_is_the_pipelines_error() -> None:
    """Nothing is silently left empty."""
    with pytest.raises(ConfigurationError, match="no placeholder"):
        compile_topic("{table}", "orders")


@pytest.mark.parametrize(
    ("key", "dedup_key", "expected"),
    [(b"k", b"d", b"k"), (None, b"d", b"d"), (None, None, None), (b"", b"d", b"")],
)
def test_without_a_template_the_key_is_the_messages_key_else_its_dedup_key(
    key: bytes | None, dedup_key: bytes | None, expected: bytes | None
) -> None:
    """An empty key is a key; no key at all is null."""
    assert compile_key(None, "orders")(a_row(key=key, dedup_key=dedup_key)) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{dedup_key}", b"order-12345"),
        ("{key}", b"cust-1"),
        ("{stream_table}:{key}", b"orders:cust-1"),
        ("{op}/{outbox_id}", b"insert/9"),
        ("{stream_table}", b"orders"),
        ("{{{key}}}", b"{cust-1}"),
        ("fixed {{braces}}", b"fixed {braces}"),
    ],
)
def test_a_key_template_gives_the_record_key(template: str, expected: bytes) -> None:
    """Placeholders stand for the message's values, doubled braces for a brace."""
    row = a_row(9, key=b"cust-1", dedup_key=b"order-12345")
    assert compile_key(template, "orders")(row) == expected


@pytest.mark.parametrize("template", ["{dedup_key}", "x-{dedup_key}", "{key}"])
def test_a_key_template_that_asks_for_a_missing_value_is_the_messages_error(template: str) -> None:
    """Sending it under another key could put it before its predecessors."""
    with pytest.raises(MessageError, match="does not have") as caught:
        compile_key(template, "orders")(a_row(5))
    assert caught.value.message_id == 5


def test_an_empty_dedup_key_is_a_key() -> None:
    """Empty is not missing."""
    assert compile_key("{dedup_key}", "orders")(a_row(dedup_key=b"")) == b""


def test_a_value_is_never_read_as_a_template() -> None:
    """Braces in a message's key are its own."""
    assert compile_key("{key}-{op}", "orders")(a_row(key=b"{outbox_id}")) == b"{outbox_id}-insert"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("orders", ["orders"]),
        ("a.{stream_table}", ["a.orders"]),
        ("{stream_table}.{op}", ["orders.insert", "orders.update", "orders.delete"]),
        ("{outbox_id}", None),
        ("{op}.{payload.country}", None),
        ("{headers.tenant}", None),
    ],
)
def test_the_topics_of_a_template_are_known_unless_a_message_decides(
    template: str, expected: list[str] | None
) -> None:
    assert known_topics(template, "orders") == expected


def test_a_known_topic_without_a_legal_name_is_the_pipelines_error() -> None:
    """The place of the template is named: a rule's topic is not the pipeline's."""
    with pytest.raises(ConfigurationError, match=r"routing\.rules\[0\]\.topic"):
        known_topics("x" * 244 + "{op}", "orders", "routing.rules[0].topic")
