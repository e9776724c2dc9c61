"""A registry that is away, refuses, or does not have the schema: the pipeline says so, waits, and goes on by itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from avro_orders import ORDER, PAYLOAD, READ, avro_pipeline, by_fastavro, with_field
from certificates import Authority
from fix_kafka import ReadTopic
from fix_registry import NewFront
from fix_relay import StartRelay
from pg_tide_dev.kafka import KafkaServer, delete_topic
from pg_tide_dev.registry import RegistryServer
from registry_front import Fault, Front
from relay_kit import FAST, Tide, ids, records
from waiting import eventually, for_all_of

GRANTED: dict[str, Any] = {"auto_register": False}
JSON_SCHEMA = '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}'


def register(schemas: SchemaRegistryClient, subject: str, schema: object) -> int:
    """What the owner of the subject does."""
    return schemas.register_schema(subject, Schema(json.dumps(schema), "AVRO"))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(None, id="refuses connections"),
        pytest.param(Fault(status=503), id="503"),
        pytest.param(Fault(status=429), id="429", marks=pytest.mark.nightly),
        pytest.param(
            Fault(status=500, body=b"<html>out of order</html>"), id="a page", marks=pytest.mark.nightly
        ),
        pytest.param(Fault(drop=True), id="no answer", marks=pytest.mark.nightly),
        pytest.param(Fault(delay_s=1.0, status=503), id="too late", marks=pytest.mark.nightly),
    ],
)
def test_a_registry_that_is_away_at_the_start_is_waited_for_before_there_is_a_message(
    tide: Tide, topic: str, front: Front, start_relay: StartRelay, read_topic: ReadTopic, fault: Fault | None
) -> None:
    """The state names the registry and not the brokers; then everything arrives once, in order."""
    if fault is None:
        front.down()
    front.fault = fault
    avro_pipeline(tide, topic, front.url, registry={"timeout_ms": 400})
    start_relay(tide.dsn)
    row = tide.until_state("backing_off")
    assert (row.error_class, row.error_code) == ("cluster_away", "REGISTRY_AWAY")
    assert f"schema registry {front.url}" in row.error
    assert "schema registry answers again" in row.cure
    published = [tide.publish(PAYLOAD, key="one") for _ in range(20)]
    for_all_of(1.0, lambda: tide.pipeline_row().state == "backing_off", lambda: tide.seen("orders-to-kafka"))
    front.fault = None
    if fault is None:
        front.up()
    tide.until_state("running")
    tide.until_settled()
    assert ids(read_topic(topic, 20)) == published


@pytest.mark.parametrize("refuses", [True, False], ids=["refuses connections", "503"])
def test_a_registry_that_goes_away_in_the_middle_stops_nothing_that_is_known_and_nothing_overtakes(
    tide: Tide,
    topic: str,
    kafka: KafkaServer,
    front: Front,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    refuses: bool,
) -> None:
    """A message for a new topic needs a schema: what is behind it waits, none is lost and none sent twice."""
    avro_pipeline(tide, f"{topic}-{{payload.state}}", front.url)
    topics = [f"{topic}-NEW", f"{topic}-PAID"]
    new, paid = PAYLOAD | {"state": "NEW"}, PAYLOAD
    try:
        begun = [tide.publish(new, key="one") for _ in range(5)]
        start_relay(tide.dsn)
        tide.until_settled()
        if refuses:
            front.down()
        else:
            front.fault = Fault(status=503)
        known = [tide.publish(new, key="one") for _ in range(5)]
        tide.until_settled()
        waiting = [tide.publish(paid if n % 2 == 0 else new, key="one") for n in range(10)]
        assert tide.until_state("backing_off").error_code == "REGISTRY_AWAY"
        assert tide.pending() == 10
        assert ids(read_topic(topics[0], 10)) == [*begun, *known]
        front.fault = None
        if refuses:
            front.up()
        tide.until_settled()
        tide.until_state("running")
        assert ids(read_topic(topics[0], 15)) == [*begun, *known, *waiting[1::2]]
        assert ids(read_topic(topics[1], 5)) == waiting[::2]
    finally:
        for each in topics:
            delete_topic(kafka.bootstrap, each)


def test_a_relay_ends_at_once_while_the_registry_does_not_answer(
    tide: Tide, topic: str, front: Front, start_relay: StartRelay
) -> None:
    """Neither the question that is under way nor the message that waits holds it."""
    front.fault = Fault(delay_s=20.0, status=503)
    avro_pipeline(tide, topic, front.url, registry={"timeout_ms": 30_000})
    tide.publish(PAYLOAD)
    relay = start_relay(tide.dsn, *FAST)
    eventually(lambda: front.requests)
    assert relay.terminate(within=8) == 0


def test_a_schema_that_nobody_registered_is_an_error_with_its_subject_and_the_cure(
    tide: Tide,
    topic: str,
    front: Front,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """Said before there is a message; nothing is registered; once somebody did, delivery goes on by itself."""
    avro_pipeline(tide, topic, front.url, registry=GRANTED)
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "SCHEMA_NOT_REGISTERED")
    assert f"{topic}-value" in row.error
    assert "does not exist" in row.error
    assert "pg-tide schemas ensure --register" in row.cure
    message = tide.publish(PAYLOAD)
    assert f"{topic}-value" not in schemas.get_subjects()
    assert f"POST /subjects/{topic}-value/versions" not in front.count()
    register(schemas, f"{topic}-value", ORDER)
    tide.until_settled()
    (record,) = records(read_topic(topic, 1))
    assert (record.message_id, by_fastavro(schemas, record)) == (message, READ)


def test_the_same_schema_is_found_whatever_the_order_of_its_members(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
) -> None:
    """A registry compares texts, and where a logical type has its attributes turned round it sees another schema."""
    odd = json.loads(json.dumps(ORDER), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    register(schemas, f"{topic}-value", odd)
    avro_pipeline(tide, topic, registry.url, registry=GRANTED)
    message = tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [message]
    assert schemas.get_versions(f"{topic}-value") == [1]


def test_another_schema_under_the_subject_is_an_error_that_says_whether_this_one_would_be_compatible(
    tide: Tide, topic: str, registry: RegistryServer, schemas: SchemaRegistryClient, start_relay: StartRelay
) -> None:
    subject = f"{topic}-value"
    register(schemas, subject, with_field(ORDER, "old", type="int", default=1))
    schemas.set_compatibility(subject, "BACKWARD")
    avro_pipeline(tide, topic, registry.url, registry=GRANTED)
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert row.error_code == "SCHEMA_NOT_REGISTERED"
    assert "would be compatible" in row.error
    assert "BACKWARD" in row.error


@pytest.mark.parametrize("auto_register", [True, False])
def test_a_schema_that_breaks_compatibility_is_refused_and_not_registered(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    auto_register: bool,
) -> None:
    """A new field without default under BACKWARD; once the level allows it, a registering relay goes on."""
    subject = f"{topic}-value"
    register(schemas, subject, ORDER)
    schemas.set_compatibility(subject, "BACKWARD")
    newer = with_field(ORDER, "since", type="int")
    avro_pipeline(
        tide,
        topic,
        registry.url,
        registry={"auto_register": auto_register},
        serialization={"schema": newer},
    )
    message = tide.publish(PAYLOAD | {"since": 1})
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "SCHEMA_INCOMPATIBLE")
    assert subject in row.error
    assert "BACKWARD" in row.error
    assert schemas.get_versions(subject) == [1]
    schemas.set_compatibility(subject, "NONE")
    if auto_register:
        tide.until_settled()
        assert ids(read_topic(topic, 1)) == [message]
        assert schemas.get_versions(subject) == [1, 2]
    else:
        eventually(lambda: tide.pipeline_row().error_code == "SCHEMA_NOT_REGISTERED")


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        ({"subject": "{topic}-nobody", "version": "latest"}, "SUBJECT_UNKNOWN"),
        ({"subject": "{topic}-there", "version": 9}, "SCHEMA_VERSION_UNKNOWN"),
        ({"subject": "{topic}-json", "version": 1}, "SCHEMA_UNUSABLE"),
    ],
)
def test_a_schema_that_the_registry_does_not_have_is_an_error_that_names_it(
    tide: Tide,
    topic: str,
    registry: RegistryServer,
    schemas: SchemaRegistryClient,
    start_relay: StartRelay,
    stored: dict[str, Any],
    code: str,
) -> None:
    subject = stored["subject"].format(topic=topic)
    register(schemas, f"{topic}-there", ORDER)
    schemas.register_schema(f"{topic}-json", Schema(JSON_SCHEMA, "JSON"))
    avro_pipeline(tide, topic, registry.url, registry=GRANTED, serialization=stored | {"subject": subject})
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", code)
    assert subject in row.error


def test_a_wrong_password_is_said_and_the_right_one_goes_on(
    tide: Tide, topic: str, new_front: NewFront, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """From the relay's environment; no text has it."""
    front = new_front(basic="anna:right:one")
    account = {"username": "anna", "password": "${env:SCHEMA_REGISTRY_PASSWORD}"}
    avro_pipeline(tide, topic, front.url, registry=account)
    message = tide.publish(PAYLOAD)
    relay = start_relay(tide.dsn, *FAST, env={"SCHEMA_REGISTRY_PASSWORD": "wrong-one"})
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("credentials", "REGISTRY_UNAUTHORIZED")
    assert "username and password" in row.cure
    assert "wrong-one" not in str(tide.rows("select * from tide.pipelines")) + str(relay.lines())
    assert relay.terminate() == 0
    start_relay(tide.dsn, env={"SCHEMA_REGISTRY_PASSWORD": "right:one"})
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [message]


def test_a_bearer_token_opens_the_registry_and_a_user_without_the_right_is_told(
    tide: Tide, topic: str, new_front: NewFront, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    front = new_front(bearer="t0ken")
    front.fault = Fault(match="/versions", status=403)
    avro_pipeline(tide, topic, front.url, registry={"bearer_token": "${env:SCHEMA_REGISTRY_TOKEN}"})
    message = tide.publish(PAYLOAD)
    start_relay(tide.dsn, env={"SCHEMA_REGISTRY_TOKEN": "t0ken"})
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("credentials", "REGISTRY_FORBIDDEN")
    front.fault = None
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [message]


def test_a_token_that_is_none_is_in_no_text(
    tide: Tide, topic: str, new_front: NewFront, start_relay: StartRelay
) -> None:
    """A line break at its end, as files of secrets have it, is refused by the HTTP library, which quotes it."""
    front = new_front(bearer="t0ken")
    avro_pipeline(tide, topic, front.url, registry={"bearer_token": "${env:SCHEMA_REGISTRY_TOKEN}"})
    relay = start_relay(tide.dsn, env={"SCHEMA_REGISTRY_TOKEN": "t0ken\nX-Other: 1"})
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "REGISTRY_REQUEST")
    assert "t0ken" not in str(tide.rows("select * from tide.pipelines")) + str(relay.lines())


def test_tls_with_an_authority_and_a_certificate_of_the_relays_own(
    tide: Tide,
    topic: str,
    new_front: NewFront,
    start_relay: StartRelay,
    read_topic: ReadTopic,
    tmp_path: Path,
) -> None:
    ours = Authority(tmp_path)
    front = new_front(tls=ours.server_context(clients=True))
    certificate, key = ours.issue("relay")
    files = {
        "tls_ca_cert": str(ours.certificate),
        "tls_client_cert": str(certificate),
        "tls_client_key": str(key),
    }
    avro_pipeline(tide, topic, front.url, registry=files)
    message = tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [message]


@pytest.mark.parametrize("case", ["another authority", "no certificate", "no file"])
def test_certificates_that_do_not_fit_are_said(
    tide: Tide, topic: str, new_front: NewFront, start_relay: StartRelay, tmp_path: Path, case: str
) -> None:
    """An unknown authority, a relay that has to show a certificate and has none, a file that is not there."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "their authority")
    front = new_front(tls=ours.server_context(clients=True))
    trusted = {"another authority": str(theirs.certificate), "no file": str(tmp_path / "missing.pem")}
    avro_pipeline(tide, topic, front.url, registry={"tls_ca_cert": trusted.get(case, str(ours.certificate))})
    start_relay(tide.dsn)
    row = tide.until_state("error")
    expected = (
        ("configuration", "REGISTRY_CERTIFICATES") if case == "no file" else ("credentials", "REGISTRY_TLS")
    )
    assert (row.error_class, row.error_code) == expected
    assert "tls_ca_cert" in row.cure


def test_a_url_at_which_there_is_no_registry_is_said(
    tide: Tide, topic: str, registry: RegistryServer, start_relay: StartRelay
) -> None:
    avro_pipeline(tide, topic, registry.url.replace("ccompat", "elsewhere"))
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "REGISTRY_URL")
    assert "/apis/ccompat/v7" in row.cure


def test_an_answer_that_cannot_be_read_ends_no_relay(
    tide: Tide, topic: str, front: Front, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A document nested more deeply than the registry's client can read."""
    front.fault = Fault(status=200, body=b"[" * 100_000)
    avro_pipeline(tide, topic, front.url)
    relay = start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.error_code) == ("configuration", "REGISTRY_URL")
    front.fault = None
    message = tide.publish(PAYLOAD)
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [message]
    assert relay.exit_code is None


def test_of_several_registries_the_next_one_is_asked_when_one_is_away(
    tide: Tide, topic: str, new_front: NewFront, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    first, second = new_front(), new_front()
    first.down()
    avro_pipeline(tide, topic, f"{first.url}, {second.url}")
    message = tide.publish(PAYLOAD)
    start_relay(tide.dsn)
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [message]
