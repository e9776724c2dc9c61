"""What the page about exactly once asks of an administrator: its rights suffice, each is needed, its statements run."""

import re
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from docs_kit import run_sql, runnable
from fix_kafka import read_records
from fix_relay import StartRelay
from relay_kit import FAST, Tide, ids
from secured_kafka import WRITER, SecuredKafka

PAGE = "docs/exactly-once.md"
ROW = re.compile(
    r"^\| (?:(topic|transactional ids|consumer groups)[^`]*`([^`]+)`) \| ([A-Za-z, ]+?)(?: \(.*)? \|$", re.M
)
KIND = {
    "topic": (ResourceType.TOPIC, ResourcePatternType.LITERAL),
    "transactional ids": (ResourceType.TRANSACTIONAL_ID, ResourcePatternType.PREFIXED),
    "consumer groups": (ResourceType.GROUP, ResourcePatternType.PREFIXED),
}


def named_rights(user: str) -> list[AclBinding]:
    """Those of the page's table."""
    text = (Path(__file__).parents[2] / PAGE).read_text(encoding="utf-8")
    found = []
    for what, name, operations in ROW.findall(text):
        kind, how = KIND[what]
        for operation in operations.split(", "):
            wanted = AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()]
            found.append(AclBinding(kind, name, how, f"User:{user}", "*", wanted, AclPermissionType.ALLOW))
    return found


@pytest.fixture
def pipeline(tide: Tide, secured: SecuredKafka, user: str, secured_topic: str) -> str:
    """A pipeline that delivers exactly once by a user who may write to its topic, and nothing else."""
    secured.set_password(user, "s3cret")
    secured.grant(user, secured_topic, *WRITER)
    tide.outbox()
    credentials = {"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": user, "sasl_password": "s3cret"}
    return tide.pipeline(
        secured_topic,
        brokers=secured.scram,
        **credentials,
        delivery="exactly_once",
        retry={"backoff_max_ms": 1000},
    )


def test_the_rights_that_the_page_names_suffice_and_without_them_the_pipeline_says_so(
    tide: Tide, secured: SecuredKafka, secured_topic: str, pipeline: str, user: str, start_relay: StartRelay
) -> None:
    """It goes on by itself when it has them."""
    rights = named_rights(user)
    assert len(rights) == 8
    published = tide.publish_many(20, key="one")
    start_relay(tide.dsn, *FAST)
    missing_topic = tide.until_told("TOPIC_AUTHORIZATION_FAILED", pipeline)
    assert missing_topic.cure
    of_topics = [one for one in rights if one.restype is not ResourceType.TRANSACTIONAL_ID]
    grant(secured, of_topics)
    missing_id = tide.until_told("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", pipeline)
    assert "transactional id" in missing_id.cure
    grant(secured, [one for one in rights if one not in of_topics])
    tide.until_settled(pipeline)
    assert ids(read_records(secured.bootstrap, secured_topic, count=20, timeout_seconds=30.0)) == published
    for one in rights:
        secured.admin.delete_acls([AclBindingFilter(*_parts(one))])


def grant(secured: SecuredKafka, rights: list[AclBinding]) -> None:
    for done in secured.admin.create_acls(rights).values():
        done.result(timeout=30)


def _parts(one: AclBinding) -> tuple[object, ...]:
    return (
        one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation, one.permission_type
    )  # fmt: skip


def test_the_pages_statements_run(tide: Tide) -> None:
    tide.outbox()
    for block in runnable(PAGE, "sql"):
        run_sql(tide.connection, block, {})
    assert tide.pipeline_row().config["delivery"] == "exactly_once"
    assert tide.cursor_row().known_tokens is None, "any position in Kafka is passed over once"
