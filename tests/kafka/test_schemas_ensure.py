"""`pg-tide schemas ensure` tells what the registry has and registers what is missing; `pg-tide preview` shows Avro."""

import base64
import json
import subprocess
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from avro_orders import ORDER, PAYLOAD, READ, avro_pipeline, by_fastavro, with_field
from fix_kafka import ReadTopic
from fix_registry import NewFront
from fix_relay import PG_TIDE, StartRelay, clean_environment
from pg_tide_dev.registry import RegistryServer
from registry_front import Front
from relay_kit import Record, Tide, records


def pg_tide(tide: Tide, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, Any, str]:
    """Exit code, JSON of stdout where there is some, and stderr."""
    done = subprocess.run(
        [*PG_TIDE, *arguments, "--postgres-url", tide.dsn, "-o", "json"],
        env={**clean_environment(), **(env or {})},
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def ensure(tide: Tide, *arguments: str, **env: str) -> tuple[int, dict[str, tuple[str, int | None]], Any]:
    """Exit code, state and id by subject, and the whole answer."""
    code, answer, _ = pg_tide(tide, "schemas", "ensure", *arguments, env=env)
    return code, {one["subject"]: (one["state"], one["schema_id"]) for one in answer["subjects"]}, answer


def test_a_dry_run_registers_nothing_and_register_does(
    tide: Tide, topic: str, front: Front, schemas: SchemaRegistryClient
) -> None:
    """Value and key; then both are there."""
    avro_pipeline(
        tide,
        topic,
        front.url,
        registry={"auto_register": False},
        serialization={"schema": ORDER, "key": "avro"},
    )
    subjects = [f"{topic}-value", f"{topic}-key"]
    code, found, answer = ensure(tide)
    assert (code, found) == (1, dict.fromkeys(subjects, ("missing", None)))
    assert answer["complete"] is False
    assert "a new subject; --register registers it" in answer["subjects"][0]["reason"]
    assert not set(subjects) & set(schemas.get_subjects())
    code, found, _ = ensure(tide, "--register")
    numbers = {subject: schemas.get_latest_version(subject).schema_id for subject in subjects}
    assert (code, found) == (0, {subject: ("created", number) for subject, number in numbers.items()})
    assert ensure(tide, "orders-to-kafka")[:2] == (
        0,
        {subject: ("registered", number) for subject, number in numbers.items()},
    )


def test_a_dry_run_registers_nothing_for_a_relay_that_may_either(
    tide: Tide, topic: str, registry: RegistryServer, schemas: SchemaRegistryClient
) -> None:
    avro_pipeline(tide, topic, registry.url, registry={"auto_register": True})
    code, found, answer = ensure(tide)
    assert (code, found) == (1, {f"{topic}-value": ("missing", None)})
    assert "the relay registers it before its first message" in answer["subjects"][0]["reason"]
    assert f"{topic}-value" not in schemas.get_subjects()


def test_an_incompatible_schema_is_told_and_not_registered(
    tide: Tide, topic: str, registry: RegistryServer, schemas: SchemaRegistryClient
) -> None:
    subject = f"{topic}-value"
    schemas.register_schema(subject, Schema(json.dumps(ORDER), "AVRO"))
    schemas.set_compatibility(subject, "BACKWARD")
    avro_pipeline(tide, topic, registry.url, serialization={"schema": with_field(ORDER, "since", type="int")})
    code, found, answer = ensure(tide, "--register")
    assert (code, found) == (1, {subject: ("incompatible", None)})
    assert "BACKWARD" in answer["subjects"][0]["reason"]
    assert schemas.get_versions(subject) == [1]
    tide.value("select tide.relay_drop('orders-to-kafka')")
    tide.pipeline(
        topic,
        wire_format="avro",
        serialization={"schema": with_field(ORDER, "since", type="int", default=1)},
        schema_registry={"url": registry.url},
    )
    code, found, answer = ensure(tide)
    assert (code, found) == (1, {subject: ("missing", None)})
    assert "compatible (BACKWARD)" in answer["subjects"][0]["reason"]


def test_subjects_of_templates_stored_schemas_and_pipelines_without_a_registry(
    tide: Tide, topic: str, registry: RegistryServer, schemas: SchemaRegistryClient
) -> None:
    """{op} stands for three subjects; a record's own name does not depend on the topic."""
    number = schemas.register_schema(f"{topic}-stored", Schema(json.dumps(ORDER), "AVRO"))
    tide.outbox()
    tide.pipeline(topic, name="plain")
    of_registry = {"wire_format": "avro", "schema_registry": {"url": registry.url}}
    tide.pipeline(f"{topic}.{{op}}", name="ops", serialization={"schema": {"type": "long"}}, **of_registry)
    tide.pipeline(
        f"{topic}.{{payload.a}}", name="members", serialization={"schema": {"type": "long"}}, **of_registry
    )
    stored = {"subject": f"{topic}-stored", "version": "latest"}
    tide.pipeline(f"{topic}.{{payload.a}}", name="stored", serialization=stored, **of_registry)
    unknown = {"subject": f"{topic}-nobody", "version": 1}
    tide.pipeline(topic, name="unknown", serialization=unknown, **of_registry)
    code, found, _ = ensure(tide)
    assert code == 1
    assert found == {
        **{f"{topic}.{op}-value": ("missing", None) for op in ("insert", "update", "delete")},
        f"{topic}.{{payload.a}}-value": ("depends on messages", None),
        f"{topic}-stored": ("registered", number),
        f"{topic}-nobody": ("refused", None),
    }


def test_a_registry_that_is_away_and_a_configuration_that_is_none_have_exit_codes_of_their_own(
    tide: Tide, topic: str, front: Front
) -> None:
    avro_pipeline(tide, topic, front.url, registry={"timeout_ms": 500})
    front.down()
    code, found, answer = ensure(tide)
    assert (code, found) == (75, {f"{topic}-value": ("registry away", None)})
    assert "schema registry" in answer["subjects"][0]["reason"]
    tide.pipeline(
        topic,
        wire_format="avro",
        serialization={"schema": {"type": "nothing"}},
        schema_registry={"url": front.url},
    )
    code, _, answer = ensure(tide)
    assert code == 78
    assert [fault["path"] for fault in answer["faults"]] == ["serialization.schema"]


def test_preview_shows_the_record_that_arrives_and_registers_nothing(
    tide: Tide,
    topic: str,
    new_front: NewFront,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """Asked with the pipeline's own account, from this environment; a schema that is missing is an error."""
    front = new_front(basic="anna:right")
    account = {"username": "anna", "password": "${env:SCHEMA_REGISTRY_PASSWORD}"}
    avro_pipeline(tide, topic, front.url, registry=account)
    tide.publish(PAYLOAD, key="order-1")
    tide.publish(PAYLOAD | {"id": "one"}, key="order-1")
    env = {"SCHEMA_REGISTRY_PASSWORD": "right"}
    code, shown, said = pg_tide(tide, "preview", "orders-to-kafka", env=env)
    assert (code, shown) == (78, None)
    assert f"not registered under {topic}-value" in said
    assert f"{topic}-value" not in schemas.get_subjects()
    schemas.register_schema(f"{topic}-value", Schema(json.dumps(ORDER), "AVRO"))
    code, shown, _ = pg_tide(tide, "preview", "orders-to-kafka", env=env)
    assert code == 1
    good, bad = shown["messages"]
    assert "id: " in bad["error"]
    start_relay(tide.dsn, env=env)
    (record,) = records(read_topic(topic, 1))
    assert good["record"]["value"] == {"base64": base64.b64encode(record.value or b"").decode()}
    assert by_fastavro(schemas, record) == READ
    assert isinstance(record, Record)


def test_preview_ends_as_with_any_server_that_is_away_or_refuses(
    tide: Tide, topic: str, new_front: NewFront
) -> None:
    front = new_front(basic="anna:right")
    account = {"username": "anna", "password": "wr0ng", "timeout_ms": 500}
    avro_pipeline(tide, topic, front.url, registry=account)
    tide.publish(PAYLOAD)
    code, _, said = pg_tide(tide, "preview", "orders-to-kafka")
    assert code == 78
    assert "401" in said
    assert "wr0ng" not in said
    front.down()
    code, _, said = pg_tide(tide, "preview", "orders-to-kafka")
    assert code == 75
    assert "schema registry" in said


def test_a_stored_row_schema_is_found_by_its_version(
    tide: Tide, topic: str, registry: RegistryServer, schemas: SchemaRegistryClient
) -> None:
    """Change events in Avro: key and value of the columns that are stored."""
    tide.outbox()
    tide.value("""select tide.row_schema_set('orders', '[{"name": "id", "type": "bigint"}]')""")
    tide.pipeline(
        topic,
        wire_format="debezium",
        wire_config={"row_schema": 1, "key_strategy": "struct", "key_fields": ["id"]},
        serialization={"format": "avro"},
        schema_registry={"url": registry.url},
    )
    code, found, _ = ensure(tide, "--register")
    assert code == 0
    assert {subject: state for subject, (state, _) in found.items()} == {
        f"{topic}-key": "created",
        f"{topic}-value": "created",
    }
    value = json.loads(str(schemas.get_latest_version(f"{topic}-value").schema.schema_str))
    assert [field["name"] for field in value["fields"][0]["type"][1]["fields"]] == ["id"]
