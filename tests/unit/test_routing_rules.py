"""Members of documents in templates, and rules: where a message goes."""

from typing import Any

import pytest

from delivery_kit import ORIGIN, a_config, a_row
from pg_tide_relay.encode import Record, compile_shape
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import Row
from pg_tide_relay.wire_types import Origin

RULES = [
    {
        "when": "total >= `500`",
        "topic": "to-check.{payload.region}",
        "headers": {"why": "large", "env": "check"},
    },
    {"when": "status == 'draft'", "topic": "drafts", "message_key": "{key}"},
    {"when": "_message.op == 'delete'", "topic": "gone"},
]


def a_record(row: Row, **keys: Any) -> Record:
    record = compile_shape(a_config(**keys), ORIGIN)(row)
    assert record is not None
    return record


def test_templates_read_members_of_payload_and_headers() -> None:
    """Nested ones, numbers with every digit, header names with dots."""
    row = a_row(
        payload=b'{"a": {"b": "eu"}, "n": 1.10, "t": true, "i": 9007199254740993}', headers=b'{"x.y": "z"}'
    )
    record = a_record(
        row, topic="o.{payload.a.b}.{headers.x.y}.{op}", message_key="{payload.n}/{payload.t}/{payload.i}{{}}"
    )
    assert record.topic == "o.eu.z.insert"
    assert record.key == b"1.10/true/9007199254740993{}"
    assert record.value == row[4]


@pytest.mark.parametrize(
    "payload",
    [b"{}", b'{"a": null}', b'{"a": {"b": null}}', b'{"a": {"b": []}}', b'{"a": {"b": {}}}', b"[1]", b"null"],
)
def test_a_member_that_is_no_single_value_is_the_messages_error(payload: bytes) -> None:
    """Named with its key: nothing is silently left empty."""
    with pytest.raises(MessageError, match=r"message 7: message_key asks for \{payload.a.b\}"):
        a_record(a_row(7, payload=payload), message_key="{payload.a.b}")
    with pytest.raises(MessageError, match=r"topic asks for \{headers.x\}"):
        a_record(a_row(7, payload=payload), topic="{headers.x}")


def test_a_member_can_make_a_topic_illegal_for_one_message() -> None:
    with pytest.raises(MessageError, match="not a legal name of a topic"):
        a_record(a_row(payload=b'{"a": "b c"}'), topic="{payload.a}")


def test_a_delete_without_payload_goes_where_its_old_payload_says() -> None:
    row = a_row(op=b"delete", payload=None, old_payload=b'{"total": 600, "region": "eu"}')
    assert a_record(row, routing={"rules": RULES}).topic == "to-check.eu"


def test_the_first_rule_that_is_true_decides() -> None:
    """Topic, key and headers; what no rule takes goes to the pipeline's topic."""
    keys = {
        "topic": "orders",
        "message_key": "{payload.id}",
        "headers": {"env": "test"},
        "routing": {"rules": RULES},
    }
    large = a_record(a_row(payload=b'{"id": 1, "total": 500, "status": "draft", "region": "eu"}'), **keys)
    assert (large.topic, large.key) == ("to-check.eu", b"1")
    assert large.headers[-2:] == [("env", b"check"), ("why", b"large")]
    draft = a_record(a_row(key=b"k", payload=b'{"id": 2, "status": "draft"}'), **keys)
    assert (draft.topic, draft.key, draft.headers[-1]) == ("drafts", b"k", ("env", b"test"))
    other = a_record(a_row(payload=b'{"id": 3}'), **keys)
    assert (other.topic, other.key, other.headers[-1]) == ("orders", b"3", ("env", b"test"))


def test_rules_see_what_the_filter_sees_and_the_value_is_the_projections() -> None:
    record = a_record(
        a_row(payload=b'{"total": 500, "region": "eu"}'),
        transform={"payload": "{t: total}"},
        routing={"rules": RULES},
    )
    assert (record.topic, record.value) == ("to-check.eu", b'{"t":500}')


def test_a_condition_that_does_not_compile_is_the_pipelines_error() -> None:
    with pytest.raises(ConfigurationError, match=r"routing.rules\[1\].when"):
        compile_shape(a_config(routing={"rules": [RULES[0], {"when": "a >", "topic": "t"}]}), ORIGIN)


def test_a_condition_that_fails_is_the_messages_error() -> None:
    with pytest.raises(MessageError, match=r"routing.rules\[0\].when failed"):
        a_record(a_row(payload=b'{"total": "x"}'), routing={"rules": RULES})


def test_an_illegal_topic_of_a_rule_is_the_pipelines_error() -> None:
    with pytest.raises(ConfigurationError, match=r"routing.rules\[0\].topic"):
        compile_shape(
            a_config(routing={"rules": [{"when": "a", "topic": "{stream_table}"}]}),
            Origin("my orders", "shop"),
        )
