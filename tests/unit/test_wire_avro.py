"""Avro in the relay: which questions a topic raises, and what records are made of the answers."""

import json
from typing import Any

import pytest

from delivery_kit import a_config, a_row
from pg_tide_relay.encode import Record, compile_shape
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.preview import problems_of
from pg_tide_relay.schemas import Answer, Question, Schemas, SchemaWanted
from pg_tide_relay.schemas_ensure import EnsureSchemas
from pg_tide_relay.wire_avro import in_usual_order
from pg_tide_relay.wire_types import Origin

ORIGIN = Origin("orders", "shop")
LONG = '"long"'


def a_schema(**serialization: Any) -> dict[str, Any]:
    return {
        "wire_format": "avro",
        "schema_registry": {"url": "http://schemas:8081"},
        "serialization": serialization,
    }


def test_a_record_waits_for_the_answer_and_is_framed_with_its_id() -> None:
    schemas = Schemas()
    shape = compile_shape(a_config(**a_schema(schema=LONG)), ORIGIN, schemas)
    with pytest.raises(SchemaWanted) as wanted:
        shape(a_row(1, payload=b"3"))
    assert wanted.value.question == Question("orders-value", LONG)
    schemas.learn(wanted.value.question, Answer(0x01020304, LONG))
    record = shape(a_row(1, payload=b"3"))
    assert isinstance(record, Record)
    assert record.value == b"\x00\x01\x02\x03\x04\x06"


def test_one_question_after_the_other_where_the_key_is_avro_too() -> None:
    """The questions of a topic are known before there is a message."""
    schemas = Schemas()
    shape = compile_shape(a_config(**a_schema(schema=LONG, key="avro")), ORIGIN, schemas)
    questions = schemas.questions_of("orders")
    assert questions == (Question("orders-value", LONG), Question("orders-key", '"string"'))
    for number, question in enumerate(questions):
        with pytest.raises(SchemaWanted) as wanted:
            shape(a_row(1, key=b"a", payload=b"3"))
        assert wanted.value.question == question
        schemas.learn(question, Answer(number, str(question.schema)))
    record = shape(a_row(1, key=b"a", payload=b"3"))
    assert record is not None
    assert (record.key, record.value) == (b"\0\0\0\0\x01\x02a", b"\0\0\0\0\0\x06")


def test_a_stored_schema_is_compiled_when_it_is_known() -> None:
    schemas = Schemas()
    shape = compile_shape(a_config(**a_schema(subject="s", version="latest")), ORIGIN, schemas)
    (question,) = schemas.questions_of("anything")
    assert question == Question("s", None, "latest")
    schemas.learn(question, Answer(5, '{"type": "array", "items": "int"}'))
    record = shape(a_row(1, payload=b"[1, 2]"))
    assert record is not None
    assert record.value == b"\0\0\0\0\5\x04\x02\x04\0"


def test_only_a_delete_without_payload_has_no_value() -> None:
    schemas = Schemas()
    shape = compile_shape(a_config(**a_schema(schema='["null", "long"]')), ORIGIN, schemas)
    schemas.learn(*answered(schemas))
    values = [
        record and record.value
        for op in (b"delete", b"update")
        for record in [shape(a_row(1, op=op, payload=None))]
    ]
    assert values == [None, b"\0\0\0\0\7\0"]


def answered(schemas: Schemas) -> tuple[Question, Answer]:
    (question,) = schemas.questions_of("orders")
    return question, Answer(7, str(question.schema))


@pytest.mark.parametrize("payload", [b'"three"', b"null", b"3.5"])
def test_a_payload_that_does_not_fit_is_that_messages_error(payload: bytes) -> None:
    schemas = Schemas()
    shape = compile_shape(a_config(**a_schema(schema=LONG)), ORIGIN, schemas)
    schemas.learn(*answered(schemas))
    with pytest.raises(MessageError, match="message 9: the payload does not fit the Avro schema") as bad:
        shape(a_row(9, payload=payload))
    assert bad.value.message_id == 9


@pytest.mark.parametrize(
    ("serialization", "key", "cause"),
    [
        ({"schema": '{"type": "nothing"}'}, "serialization.schema", "no type nothing"),
        ({"schema": "{"}, "serialization.schema", "not JSON"),
        ({"schema_file": "/does/not/exist.avsc"}, "serialization.schema_file", "can't be read"),
        (
            {"schema": LONG, "subject_name_strategy": "RecordNameStrategy"},
            "serialization.subject_name_strategy",
            "needs a schema that is a record",
        ),
    ],
)
def test_a_schema_that_is_none_stops_the_pipeline_where_it_stands(
    serialization: dict[str, Any], key: str, cause: str
) -> None:
    with pytest.raises(ConfigurationError, match=cause) as bad:
        compile_shape(a_config(**a_schema(**serialization)), ORIGIN)
    assert bad.value.key == key


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "record", "name": "A"}, 'A needs an array of "fields"'),
        ('{"type": "recrod"}', "no type recrod"),
        ("${env:TIDE_SCHEMA}", None),
        (LONG, None),
    ],
)
def test_validate_parses_the_schema_where_it_stands(schema: Any, message: str | None) -> None:
    stored = {
        "sink_type": "kafka",
        "brokers": "localhost:9092",
        "topic": "order-events",
        **a_schema(schema=schema),
    }
    problems = problems_of(stored)
    if message is None:
        assert problems == []
    else:
        (problem,) = problems
        assert problem.path == "serialization.schema"
        assert message in problem.message


def test_members_stand_in_the_usual_order_whatever_jsonb_made_of_them() -> None:
    """Lists keep theirs, members that nobody knows stand behind."""
    stored = {
        "x": 1,
        "name": "A",
        "type": "record",
        "fields": [
            {"type": {"scale": 2, "type": "bytes", "precision": 9, "logicalType": "decimal"}, "name": "b"}
        ],
    }
    assert json.dumps(in_usual_order(stored)) == json.dumps(
        {
            "type": "record",
            "name": "A",
            "fields": [
                {"type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "name": "b"}
            ],
            "x": 1,
        }
    )


def test_ensure_leaves_alone_what_needs_no_registry() -> None:
    """Also a pipeline whose row schema is stored: its columns are in the database, and none of this command's."""
    done = EnsureSchemas(register=True, environ={}, allowed=())
    base = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t"}
    done.pipeline("plain", "orders", base)
    done.pipeline("typed", "orders", base | {"wire_format": "debezium", "wire_config": {"row_schema": 3}})
    assert (done.findings, done.faults) == ([], [])
