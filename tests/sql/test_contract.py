"""Contracts: what payloads must look like, held against the official suite for the keywords that a contract has."""

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from fix_sql import Connect, Ring

SUITE = Path(__file__).parent / "json_schema_suite"
KEYWORDS = {
    "type", "required", "properties", "additionalProperties", "items", "enum", "const", "minimum", "maximum",
    "minLength", "maxLength", "pattern", "minItems", "maxItems", "anyOf",
}  # fmt: skip
# jsonb can't hold U+0000.
UNSTORABLE = "\\u0000"


def groups() -> list[Any]:
    """The suite's groups: a schema and documents with the verdict of each."""
    return [
        group
        for file in sorted(SUITE.glob("*.json"))
        for group in json.loads(file.read_text(encoding="utf-8"))
        if isinstance(group["schema"], dict) and UNSTORABLE not in json.dumps(group["schema"])
    ]


def foreign_keywords(schema: Any) -> set[str]:
    """Keywords that no contract has; a list of schemas for items counts as one."""
    if not isinstance(schema, dict):
        return set()
    found = schema.keys() - KEYWORDS
    if isinstance(schema.get("items"), list):
        found |= {"items"}
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), schema.get("items")]
    inner.append(schema.get("additionalProperties"))
    return found.union(*map(foreign_keywords, inner))


def faults(connection: psycopg.Connection, schema: Any, document: Any) -> list[tuple[Any, ...]]:
    """What is wrong with a document."""
    return connection.execute(
        "select path, fault from tide._contract_faults(%s::jsonb, %s::jsonb)",
        [json.dumps(schema), json.dumps(document)],
    ).fetchall()


def test_administrators_can_ask_before_they_set_one(ring: Ring) -> None:
    """Faults of what was published before, and whether it is a contract at all."""
    for payload in ("1", "2", '"x"'):
        ring.connection.execute("select tide.outbox_publish('orders', %s::jsonb)", [payload])
    asked = (
        "select m.payload, f.path, f.fault from tide.message m, tide.contract_faults(%s, m.payload::jsonb) f"
    )
    found = ring.connection.execute(asked, ['{"type": "number", "maximum": 1}']).fetchall()
    assert found == [("2", "$", "must be at most 1"), ('"x"', "$", "must be number, not string")]
    with pytest.raises(psycopg.DatabaseError, match=r"the contract is not valid: \$.typ is no keyword"):
        ring.connection.execute(asked, ['{"typ": 1}'])


def refused_as(connection: psycopg.Connection, schema: Any) -> str | None:
    """The SQLSTATE with which a schema is refused as a contract."""
    try:
        connection.execute("select tide._contract_check('orders', %s::jsonb)", [json.dumps(schema)])
    except psycopg.DatabaseError as error:
        return error.sqlstate
    return None


def test_the_official_suite_agrees(connect: Connect) -> None:
    """A schema with a keyword that a contract has not is refused; else every verdict is the suite's."""
    connection = connect()
    wrong, judged = [], 0
    for group in groups():
        schema = group["schema"]
        refused = refused_as(connection, schema)
        if refused != ("TD020" if foreign_keywords(schema) else None):
            wrong.append(f"{group['description']}: {refused}")
        for case in group["tests"] if refused is None else ():
            if UNSTORABLE not in json.dumps(case["data"]):
                judged += 1
                if (not faults(connection, schema, case["data"])) is not case["valid"]:
                    wrong.append(f"{group['description']}: {case['description']}")
    assert wrong == []
    assert judged > 250


ORDER = {
    "type": "object",
    "required": ["id", "items"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "status": {"enum": ["new", "paid"]},
        "email": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
        "items": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["sku"],
                "properties": {"sku": {"type": "string", "maxLength": 5}},
            },
        },
        "a b": {"anyOf": [{"type": "null"}, {"const": 1}]},
    },
}


DOCUMENTS: list[tuple[Any, list[tuple[str, str]]]] = [
    ([], [("$", "must be object, not array")]),
    ({"id": 1, "items": [{"sku": "a"}]}, []),
    ({"id": 0, "items": []}, [("$.id", "must be at least 1"), ("$.items", "must have at least 1 items")]),
    ({"items": [{"sku": "a"}, {}]}, [("$", 'lacks "id"'), ("$.items[1]", 'lacks "sku"')]),
    (
        {"id": 1.5, "items": [{"sku": "toolong"}], "x": 1},
        [
            ("$.id", "must be integer, not number"),
            ("$.x", "is not allowed"),
            ("$.items[0].sku", "must have at most 5 characters"),
        ],
    ),
    (
        {"id": 1, "items": [{"sku": "a"}], "status": "old", "email": "x", "a b": 2},
        [
            ('$["a b"]', 'is none of what "anyOf" allows'),
            ("$.email", "must match ^[^@]+@[^@]+$"),
            ("$.status", 'must be one of ["new", "paid"]'),
        ],
    ),
]


def test_each_fault_is_told_with_its_path(connect: Connect) -> None:
    connection = connect()
    for document, expected in DOCUMENTS:
        assert sorted(faults(connection, ORDER, document)) == sorted(expected)


def test_a_payload_that_breaks_the_contract_takes_its_transaction_with_it(
    ring: Ring, connect: Connect
) -> None:
    """The business row is not written either; the error names outbox, path and cure."""
    ring.connection.execute("select tide.outbox_alter('orders', contract => %s)", [json.dumps(ORDER)])
    ring.connection.execute("create table business (id int)")
    connection = connect()
    connection.execute("begin")
    connection.execute("insert into business values (1)")
    with pytest.raises(psycopg.DatabaseError) as refused:
        connection.execute('select tide.outbox_publish(\'orders\', \'{"id": "x", "items": [{"sku": "a"}]}\')')
    connection.execute("commit")
    assert refused.value.sqlstate == "TD012"
    assert refused.value.diag.message_primary == (
        "a payload breaks the contract of outbox 'orders': $.id must be integer, not string"
    )
    assert refused.value.diag.message_hint == (
        "The contract: select contract from tide.outboxes where outbox = 'orders';"
    )
    assert ring.value("select count(*) from business") == 0
    assert ring.value("select count(*) from tide.message") == 0


def test_a_batch_names_the_element_that_breaks_the_contract(ring: Ring) -> None:
    """And stores none of its messages; a delete without payload breaks nothing."""
    ring.connection.execute("select tide.outbox_alter('orders', contract => '{\"required\": [\"id\"]}')")
    publish = "select tide.outbox_publish_batch('orders', %s::text[]::jsonb[], ops => %s)"
    with pytest.raises(psycopg.DatabaseError, match=r'\(element 3\) breaks .*lacks "id"') as refused:
        ring.connection.execute(publish, [['{"id": 1}', None, "{}"], ["insert", "delete", "update"]])
    assert refused.value.sqlstate == "TD012"
    ring.connection.execute(publish, [['{"id": 1}', None], ["insert", "delete"]])
    assert ring.value("select count(*) from tide.message") == 2


def test_a_contract_can_be_set_shown_kept_and_removed(ring: Ring) -> None:
    """At creation and later; other changes leave it alone; it holds for what is published from then on."""
    shown = "select contract from tide.outboxes where outbox = 'checked'"
    ring.connection.execute("select tide.outbox_create('checked', contract => '{\"type\": \"object\"}')")
    ring.connection.execute("select tide.outbox_alter('checked', retention_hours => 1)")
    assert ring.value(shown) == {"type": "object"}
    with pytest.raises(psycopg.DatabaseError, match="must be object, not number"):
        ring.connection.execute("select tide.outbox_publish('checked', '1')")
    ring.connection.execute("select tide.outbox_alter('checked', contract => 'null')")
    assert ring.value(shown) is None
    ring.connection.execute("select tide.outbox_publish('checked', '1')")


NO_CONTRACTS = [
    ("1", "$ must be an object"),
    ('{"$ref": "#/a"}', '$["$ref"] is no keyword of a contract'),
    ('{"type": "text"}', "$.type must be null, boolean, object"),
    ('{"type": []}', "$.type must be null, boolean, object"),
    ('{"properties": {"a": {"minimum": "1"}}}', "$.properties.a.minimum must be a number"),
    ('{"items": {"pattern": "("}}', "$.items.pattern is no regular expression"),
    ('{"anyOf": [true, {"maxLength": -1}]}', "$.anyOf[1].maxLength must be a whole number"),
    ('{"anyOf": []}', "$.anyOf must be a list that is not empty"),
    ('{"required": [1]}', "$.required must be a list of strings"),
    ('{"additionalProperties": 1}', "$.additionalProperties must be a schema"),
    ('{"properties": {"a b": 1}}', '$.properties["a b"] must be a schema'),
    ('{"items": [{}]}', "$.items must be a schema"),
]


def test_what_is_no_contract_is_refused_with_the_path_of_its_keyword(ring: Ring) -> None:
    """When it is set: no publisher ever meets it."""
    for contract, said in NO_CONTRACTS:
        for call in ("outbox_alter('orders'", "outbox_create('x'"):
            with pytest.raises(psycopg.DatabaseError, match=re.escape(said)) as refused:
                ring.connection.execute(f"select tide.{call}, contract => %s)", [contract])
            assert refused.value.sqlstate == "TD020"
