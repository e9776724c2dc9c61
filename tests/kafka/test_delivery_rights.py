"""Credentials and rights, on a broker that asks for both: said with their cure, recovered from by themselves."""

import secrets
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AclOperation

from delivery_kit import Driver, a_config, a_row, ids
from pg_tide_dev.kafka import create_topic
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_config import admin_properties
from pg_tide_relay.topic_admin import TopicLook
from secured_kafka import SecuredKafka

ReadTopic = Callable[..., list[Message]]
PASSWORD = "s3cret-word"


def config_for(secured: SecuredKafka, topic: str, user: str, **keys: object) -> PipelineConfig:
    """A pipeline's configuration as this user."""
    ours = {
        "brokers": secured.scram,
        "topic": topic,
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_username": user,
        "sasl_password": PASSWORD,
    }
    return a_config(**ours | keys)


def test_refused_credentials_are_an_error_that_ends_when_they_are_right(
    secured: SecuredKafka, user: str, secured_topic: str, read_topic: ReadTopic
) -> None:
    """No delivery report ever tells; the state does, and once the password is set delivery goes on by itself."""
    driver = Driver(config_for(secured, secured_topic, user))
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR)
    state = driver.delivery.state
    assert (state.error_class, state.code) == (ErrorClass.CREDENTIALS, "_AUTHENTICATION")
    assert "sasl_password" in (state.cure or "")
    secured.set_password(user, PASSWORD)
    secured.grant(user, secured_topic, AclOperation.WRITE, AclOperation.DESCRIBE)
    driver.run_until_settled(1, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert len(read_topic(secured_topic, bootstrap=secured.bootstrap)) == 1
    assert PASSWORD not in str(driver.log.lines)


def test_what_refused_credentials_hold_up_is_taken_back_when_delivery_is_to_stop(
    secured: SecuredKafka, user: str, secured_topic: str, read_topic: ReadTopic
) -> None:
    """It was never sent, so nobody waits for it; whoever goes on later sends it, once and in order."""
    secured.set_password(user, PASSWORD)
    secured.grant(user, secured_topic, AclOperation.WRITE, AclOperation.DESCRIBE)
    over_tls = {
        "brokers": secured.addresses["SCRAMTLS"],
        "tls_enabled": True,
        "tls_ca_cert": str(secured.authority.certificate),
    }
    driver = Driver(config_for(secured, secured_topic, user, **over_tls, request_timeout_ms=300_000))
    driver.submit(a_row(1, key=b"A"))
    driver.run_until_settled(1)
    secured.set_password(user, "another")
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR, timeout_s=60)
    driver.submit(*[a_row(number, key=b"A") for number in range(2, 7)])
    driver.run_until(lambda: driver.delivery.outstanding == 5)
    driver.delivery.stop_handing_over()
    driver.run_until(lambda: driver.delivery.outstanding == 0, timeout_s=60)
    assert driver.settled_id == 1
    secured.set_password(user, PASSWORD)
    driver.delivery.resume()
    driver.run_until_settled(6, timeout_s=60)
    driver.close()
    assert ids(read_topic(secured_topic, bootstrap=secured.bootstrap)) == list(range(1, 7))


def test_a_topic_that_may_not_be_written_is_waited_for(
    secured: SecuredKafka, user: str, secured_topic: str, read_topic: ReadTopic
) -> None:
    """The metadata shows it, the broker refuses the records: no message is blamed; the right ends it."""
    other = f"test-{secrets.token_hex(6)}"
    create_topic(secured.bootstrap, other)
    secured.set_password(user, PASSWORD)
    secured.grant(user, other, AclOperation.WRITE)  # without any, not even a producer id is given
    secured.grant(user, secured_topic, AclOperation.DESCRIBE)
    driver = Driver(config_for(secured, secured_topic, user))
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 11)])
    driver.run_until(lambda: driver.delivery.state.code == "TOPIC_AUTHORIZATION_FAILED")
    state = driver.delivery.state
    assert (state.name, state.error_class, state.topic) == (
        StateName.BACKING_OFF,
        ErrorClass.DESTINATION,
        secured_topic,
    )
    assert driver.settled_id == 0
    secured.grant(user, secured_topic, AclOperation.WRITE)
    driver.run_until_settled(10, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    records = read_topic(secured_topic, bootstrap=secured.bootstrap)
    assert [dict(record.headers() or [])["pg_tide_id"] for record in records] == [
        b"%d" % number for number in range(1, 11)
    ]


def test_a_topic_that_may_not_be_created_is_waited_for(
    secured: SecuredKafka, user: str, read_topic: ReadTopic
) -> None:
    """With policy `create`; the cure names the right that is missing, and once it is given delivery goes on."""
    missing = f"test-{secrets.token_hex(6)}"
    secured.set_password(user, PASSWORD)
    secured.grant(user, missing, AclOperation.WRITE)
    driver = Driver(config_for(secured, missing, user, topics={"policy": "create"}))
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
    secured: SecuredKafka, user: str, secured_topic: str
) -> None:
    """Behind the time-out of the question stands what the client heard meanwhile."""
    look = TopicLook(admin_properties(config_for(secured, secured_topic, user), "test"))
    with pytest.raises(KafkaException) as refused:
        look.exists(secured_topic, 3)
    assert refused.value.args[0].name() == "_AUTHENTICATION"
    secured.set_password(user, PASSWORD)
    look = TopicLook(admin_properties(config_for(secured, secured_topic, user), "test"))
    with pytest.raises(KafkaException) as refused:
        look.exists(secured_topic, 10)
    assert refused.value.args[0].name() == "TOPIC_AUTHORIZATION_FAILED"
    secured.grant(user, secured_topic, AclOperation.DESCRIBE)
    assert look.exists(secured_topic, 10)


def test_where_idempotence_is_refused_and_not_insisted_on_delivery_goes_on_without(
    secured: SecuredKafka, user: str, secured_topic: str, read_topic: ReadTopic
) -> None:
    """`idempotent: false`: without any right to write there is no producer id; what is missed is the topic's."""
    secured.set_password(user, PASSWORD)
    secured.grant(user, secured_topic, AclOperation.DESCRIBE)
    driver = Driver(config_for(secured, secured_topic, user))
    driver.submit(a_row(1), a_row(2))
    driver.run_until(lambda: driver.delivery.state.code == "TOPIC_AUTHORIZATION_FAILED")
    assert any(
        event == "delivery_resumes" and fields["pipelined"] is False for _, event, fields in driver.log.lines
    )
    secured.grant(user, secured_topic, AclOperation.WRITE)
    driver.run_until_settled(2, timeout_s=60)
    driver.close()
    assert len(read_topic(secured_topic, bootstrap=secured.bootstrap)) == 2


def test_where_idempotence_is_refused_and_insisted_on_it_is_an_error(
    secured: SecuredKafka, user: str, secured_topic: str
) -> None:
    """`idempotent: true`: the cluster must permit it; the error names the right that is missing."""
    secured.set_password(user, PASSWORD)
    secured.grant(user, secured_topic, AclOperation.DESCRIBE)
    driver = Driver(config_for(secured, secured_topic, user, idempotent=True))
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR)
    state = driver.delivery.state
    assert (state.error_class, state.code) == (ErrorClass.CREDENTIALS, "CLUSTER_AUTHORIZATION_FAILED")
    assert "IDEMPOTENT_WRITE" in (state.cure or "")
    secured.grant(user, secured_topic, AclOperation.WRITE)
    driver.run_until_settled(1, timeout_s=60)
    driver.close()
