"""The outbox router's records beside those that Debezium's own event router makes of the same rows."""

import base64
import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import Relay
from judges.conftest import Cases
from judges.tools import Judges
from relay_kit import Tide, records

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.judge("Debezium EventRouter", "debezium-connect-plugins", "outbox_router"),
]
PAYLOADS: list[Any] = [
    {"id": 1, "name": "Größe 🌊", "none": None, "lines": [], "total": 1.5},
    {"quote": '"\\\n\t\u0001\u007f\u2028</script>', "deep": {"a": [1, {"b": {}}]}},
    [1, "two", None],
    "a text",
    12345678901234567890,
    None,
]


EXPANDED = {
    "table.expand.json.payload": "true",
    "table.json.payload.null.behavior": "optional_bytes",
    "table.json.payload.empty.array.behavior": "optional_string",
}


@pytest.mark.parametrize("tombstones", [False, True])
@pytest.mark.parametrize("converter", ["string", "json", "json_with_schema"])
def test_the_same_rows_make_the_same_records(
    judges: Judges,
    tide: Tide,
    relay: Relay,
    make_topic: MakeTopic,
    read_topic: ReadTopic,
    cases: Cases,
    converter: str,
    tombstones: bool,
) -> None:
    """Topic, key and value byte for byte, and each header that the router makes."""
    topic = make_topic()
    rows = published(tide, topic, converter, PAYLOADS, tombstones=tombstones)
    made = judges.java("RouterJudge", asked(topic, converter, rows, tombstones=tombstones))
    sent = records(read_topic(topic, len(rows)))
    assert len(made) == len(sent) == len(rows)
    for ours, theirs in zip(sent, made, strict=True):
        assert "error" not in theirs, theirs
        assert ours.topic == theirs["topic"]
        value = decoded(theirs["value"])
        if value is None and not tombstones:  # a StringConverter has nothing for null: docs/formats.md
            assert converter == "string"
            value = b"null"
        assert (ours.key, ours.value) == (decoded(theirs["key"]), value)
        headers = {header: value.decode() for header, value in ours.headers}
        assert {header: headers.get(header) for header in theirs["headers"]} == theirs["headers"]
        assert set(theirs["headers"]) == {"id", "eventType"}
    cases(len(rows))


def test_expanded_payloads_are_the_same_documents(
    judges: Judges, tide: Tide, relay: Relay, make_topic: MakeTopic, read_topic: ReadTopic, cases: Cases
) -> None:
    """What a connector expands and a JsonConverter without schemas writes is what `string` sends as it is.

    Lists of unlike elements are not expanded by the router, which then sends the whole payload as a string.
    """
    topic = make_topic()
    documents: list[Any] = [PAYLOADS[0], {"quote": '"\\\n', "deep": {"a": [1, 2], "b": {"c": False}}}]
    rows = published(tide, topic, "string", documents)
    made = judges.java("RouterJudge", asked(topic, "json", rows, **EXPANDED))
    sent = records(read_topic(topic, len(rows)))
    for ours, theirs, document in zip(sent, made, documents, strict=True):
        assert "error" not in theirs, theirs
        assert json.loads(ours.value or b"") == json.loads(decoded(theirs["value"]) or b"") == document
    cases(len(rows))


def published(
    tide: Tide, topic: str, converter: str, payloads: list[Any], *, tombstones: bool = False
) -> list[dict[str, Any]]:
    """Send payloads through a pipeline of the format; the rows that an outbox table of Debezium's would have."""
    prefix, _, aggregate = topic.partition("-")
    name = f"router-{aggregate}"
    tide.outbox(name)
    options = {"key_converter": converter, "value_converter": converter, "emit_tombstones": tombstones}
    tide.pipeline(
        f"{prefix}-{{headers.aggregatetype}}",
        name=name,
        outbox=name,
        wire_format="outbox_router",
        wire_config=options,
    )
    rows = [
        {
            "id": str(uuid5(NAMESPACE_URL, f"{name}/{n}")),
            "aggregatetype": aggregate,
            "aggregateid": f'ключ "{n}" 🌊',
            "type": "OrderPlaced",
            "payload": None if payload is None else tide.value("select %s::jsonb::text", json.dumps(payload)),
        }
        for n, payload in enumerate(payloads)
    ]
    for row in rows:
        tide.value(
            "select tide.outbox_publish(%s, %s::jsonb, op => %s, key => %s, dedup_key => %s, headers => %s::jsonb)",
            name,
            row["payload"],
            "insert" if row["payload"] is not None else "delete",
            row["aggregateid"],
            row["id"],
            json.dumps({"aggregatetype": aggregate, "eventType": row["type"]}),
        )
    return rows


def asked(
    topic: str, converter: str, rows: list[dict[str, Any]], *, tombstones: bool = False, **options: str
) -> str:
    """The question to the judge."""
    prefix = topic.partition("-")[0]
    return json.dumps(
        {
            "rows": rows,
            "converter": converter,
            "options": {
                "route.topic.replacement": f"{prefix}-${{routedByValue}}",
                "table.fields.additional.placement": "type:header:eventType",
                "route.tombstone.on.empty.payload": str(tombstones).lower(),
                **options,
            },
        }
    )


def decoded(value: str | None) -> bytes | None:
    """Bytes from base64."""
    return None if value is None else base64.b64decode(value)
