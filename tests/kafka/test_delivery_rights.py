"""Credentials and rights, on a broker that asks for both: said with their cure, recovered from by themselves."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from delivery_kit import Driver, a_config, a_row
from fix_run import Progress
from pg_tide_dev.kafka import create_topic, find_programs, wait_ready
from pg_tide_dev.kafka_nodes import KafkaNode, kafka_id, new_addresses
from pg_tide_dev.processes import Run, free_port
from pg_tide_dev.sources import Source
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_config import admin_properties
from pg_tide_relay.topic_admin import TopicLook

ReadTopic = Callable[..., list[Message]]


@dataclass(frozen=True, kw_only=True)
class SecuredKafka:
    """A broker with a listener for administrators and one that wants SCRAM; rights are granted one by one."""

    bootstrap: str
    scram: str
    admin: AdminClient

    def set_password(self, user: str, password: str) -> None:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        change = UserScramCredentialUpsertion(user, info, password.encode())
        self.admin.alter_user_scram_credentials([change])[user].result(timeout=30)

    def grant(self, user: str, topic: str, *operations: AclOperation) -> None:
        rights = [
            AclBinding(
                ResourceType.TOPIC,
                topic,
                ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in operations
        ]
        for done in self.admin.create_acls(rights).values():
            done.result(timeout=30)

    def config(self, topic: str, user: str, password: str, **keys: object) -> PipelineConfig:
        return a_config(
            brokers=self.scram,
            topic=topic,
            sasl_mechanism="SCRAM-SHA-256",
            sasl_username=user,
            sasl_password=password,
            **keys,
        )


@pytest.fixture(scope="module")
def secured(dev_run: Run, progress: Progress) -> Iterator[SecuredKafka]:
    programs = find_programs(Source.PACKAGES, progress)
    assert programs is not None
    (address,) = new_addresses(1)
    scram = f"127.0.0.1:{free_port()}"
    node = KafkaNode(dev_run, programs, address)
    node.configure(
        [address],
        {
            "listeners": f"PLAINTEXT://{node.bootstrap},SCRAM://{scram},"
            f"CONTROLLER://127.0.0.1:{address.controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "listener.name.scram.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "auto.create.topics.enable": "false",
        },
    )
    node.format(kafka_id(), [])
    node.start()
    wait_ready(node.bootstrap, [1], [node.process] if node.process else [])
    admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})
    yield SecuredKafka(bootstrap=node.bootstrap, scram=scram, admin=admin)
    node.kill()


@pytest.fixture
def user() -> str:
    return f"user-{secrets.token_hex(4)}"


@pytest.fixture
def orders(secured: SecuredKafka) -> str:
    name = f"test-{secrets.token_hex(6)}"
    create_topic(secured.bootstrap, name)
    return name


def test_refused_credentials_are_an_error_that_ends_when_they_are_right(
    secured: SecuredKafka, user: str, orders: str, read_topic: ReadTopic
) -> None:
    """No delivery report ever tells; the state does, and once the password is set delivery goes on by itself."""
    driver = Driver(secured.config(orders, user, "s3cret-word"))
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR)
    state = driver.delivery.state
    assert (state.error_class, state.code) == (ErrorClass.CREDENTIALS, "_AUTHENTICATION")
    assert "SASL" in (state.cure or "")
    secured.set_password(user, "s3cret-word")
    secured.grant(user, orders, AclOperation.WRITE, AclOperation.DESCRIBE)
    driver.run_until_settled(1, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert len(read_topic(orders, bootstrap=secured.bootstrap)) == 1
    assert "s3cret-word" not in str(driver.log.lines)


def test_a_topic_that_may_not_be_written_is_waited_for(
    secured: SecuredKafka, user: str, orders: str, read_topic: ReadTopic
) -> None:
    """The metadata shows it, the broker refuses the records: no message is blamed; the right ends it."""
    other = f"test-{secrets.token_hex(6)}"
    create_topic(secured.bootstrap, other)
    secured.set_password(user, "s3cret-word")
    secured.grant(user, other, AclOperation.WRITE)  # without any, not even a producer id is given
    secured.grant(user, orders, AclOperation.DESCRIBE)
    driver = Driver(secured.config(orders, user, "s3cret-word"))
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 11)])
    driver.run_until(lambda: driver.delivery.state.code == "TOPIC_AUTHORIZATION_FAILED")
    state = driver.delivery.state
    assert (state.name, state.error_class, state.topic) == (
        StateName.BACKING_OFF,
        ErrorClass.DESTINATION,
        orders,
    )
    assert driver.settled_id == 0
    secured.grant(user, orders, AclOperation.WRITE)
    driver.run_until_settled(10, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    records = read_topic(orders, bootstrap=secured.bootstrap)
    assert [dict(record.headers() or [])["pg_tide_id"] for record in records] == [
        b"%d" % number for number in range(1, 11)
    ]


def test_a_topic_that_may_not_be_created_is_waited_for(
    secured: SecuredKafka, user: str, read_topic: ReadTopic
) -> None:
    """With policy `create`; the cure names the right that is missing, and once it is given delivery goes on."""
    missing = f"test-{secrets.token_hex(6)}"
    secured.set_password(user, "s3cret-word")
    secured.grant(user, missing, AclOperation.WRITE)
    driver = Driver(secured.config(missing, user, "s3cret-word", topics={"policy": "create"}))
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.code == "TOPIC_AUTHORIZATION_FAILED")
    state = driver.delivery.state
    assert (state.name, state.error_class, state.topic) == (
        StateName.BACKING_OFF,
        ErrorClass.DESTINATION,
        missing,
    )
    assert "CREATE" in (state.cure or "")
    secured.grant(user, missing, AclOperation.CREATE)
    driver.run_until_settled(1, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert len(read_topic(missing, bootstrap=secured.bootstrap)) == 1


def test_a_look_for_a_topic_tells_refused_credentials_and_not_that_nobody_answers(
    secured: SecuredKafka, user: str, orders: str
) -> None:
    """Behind the time-out of the question stands what the client heard meanwhile."""
    look = TopicLook(admin_properties(secured.config(orders, user, "s3cret-word"), "test"))
    with pytest.raises(KafkaException) as refused:
        look.exists(orders, 3)
    assert refused.value.args[0].name() == "_AUTHENTICATION"
    secured.set_password(user, "s3cret-word")
    look = TopicLook(admin_properties(secured.config(orders, user, "s3cret-word"), "test"))
    with pytest.raises(KafkaException) as refused:
        look.exists(orders, 10)
    assert refused.value.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"
    secured.grant(user, orders, AclOperation.DESCRIBE)
    assert look.exists(orders, 10)


def test_where_idempotence_is_refused_and_not_insisted_on_delivery_goes_on_without(
    secured: SecuredKafka, user: str, orders: str, read_topic: ReadTopic
) -> None:
    """`idempotent: false`: without any right to write there is no producer id; what is missed is the topic's."""
    secured.set_password(user, "s3cret-word")
    secured.grant(user, orders, AclOperation.DESCRIBE)
    driver = Driver(secured.config(orders, user, "s3cret-word"))
    driver.submit(a_row(1), a_row(2))
    driver.run_until(lambda: driver.delivery.state.code == "TOPIC_AUTHORIZATION_FAILED")
    assert any(
        event == "delivery_resumes" and fields["pipelined"] is False for _, event, fields in driver.log.lines
    )
    secured.grant(user, orders, AclOperation.WRITE)
    driver.run_until_settled(2, timeout_s=60)
    driver.close()
    assert len(read_topic(orders, bootstrap=secured.bootstrap)) == 2


def test_where_idempotence_is_refused_and_insisted_on_it_is_an_error(
    secured: SecuredKafka, user: str, orders: str
) -> None:
    """`idempotent: true`: the cluster must permit it; the error names the right that is missing."""
    secured.set_password(user, "s3cret-word")
    secured.grant(user, orders, AclOperation.DESCRIBE)
    driver = Driver(secured.config(orders, user, "s3cret-word", idempotent=True))
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR)
    state = driver.delivery.state
    assert (state.error_class, state.code) == (ErrorClass.CREDENTIALS, "CLUSTER_AUTHORIZATION_FAILED")
    assert "IDEMPOTENT_WRITE" in (state.cure or "")
    secured.grant(user, orders, AclOperation.WRITE)
    driver.run_until_settled(1, timeout_s=60)
    driver.close()
