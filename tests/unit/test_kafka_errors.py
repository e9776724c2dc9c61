"""Kafka's error codes: every one of the table has its class, a state and a cure."""

import pytest
from confluent_kafka import KafkaError

from pg_tide_relay.error_policy import StateName, cure_for, cure_for_creation, state_for
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_errors import classify, classify_creation

TABLE = {
    ErrorClass.MESSAGE: (10, 18, 4, 2, 87, 32, 44),
    ErrorClass.CONFIGURATION: (76, 43, 21, 53, 50, 17),
    ErrorClass.DESTINATION: (3, -188, -190, 29),
    ErrorClass.CLUSTER_AWAY: (-192, -166, -195, -187, -193, 7, 13, 5, 6, 19, 20, 56, 89),
    ErrorClass.CREDENTIALS: (-169, 58, 33, 34, -181, 31),
    ErrorClass.FATAL_PRODUCER: (45, 59, -150, -148),
    ErrorClass.FENCED: (90, 47, -144),
    ErrorClass.RESEND: (-138, -184, -152, -151),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, name) for name, codes in TABLE.items() for code in codes]
)
def test_every_code_of_the_table_has_its_class(code: int, expected: ErrorClass) -> None:
    """By number, as brokers and librdkafka give them."""
    assert classify(KafkaError(code)) is expected


def test_an_illegal_topic_is_the_messages_fault_only_when_it_comes_from_a_template() -> None:
    """A fixed topic is wrong for every message."""
    assert classify(KafkaError(17), topic_is_template=True) is ErrorClass.MESSAGE
    assert classify(KafkaError(17), topic_is_template=False) is ErrorClass.CONFIGURATION


# Answers to the creation of a topic, by number.
CREATION = {
    ErrorClass.CONFIGURATION: (37, 38, 40, 42, 44, 17, 35, -165, -186),
    ErrorClass.DESTINATION: (29, 31),
    ErrorClass.CLUSTER_AWAY: (-185, -195, 7, 41, 89, -1),
    ErrorClass.CREDENTIALS: (-169, 58),
}


@pytest.mark.parametrize(
    ("code", "expected"), [(code, name) for name, codes in CREATION.items() for code in codes]
)
def test_a_topic_that_is_not_created_is_never_a_messages_fault(code: int, expected: ErrorClass) -> None:
    """A policy that refuses a topic is no policy that refuses a record, and a right is no password."""
    assert classify_creation(KafkaError(code)) is expected
    assert state_for(expected) is not StateName.STOPPED
    assert cure_for_creation(expected, KafkaError(code).name()).endswith(".")


def test_the_cure_of_a_topic_that_may_not_be_created_names_that_right() -> None:
    """Not WRITE, which its user may well have."""
    assert "CREATE" in cure_for_creation(ErrorClass.DESTINATION, "TOPIC_AUTHORIZATION_FAILED")


def test_an_unknown_code_is_not_held_against_the_message() -> None:
    """A broker in trouble answers UNKNOWN to good messages too; a fatal one ends the producer."""
    assert classify(KafkaError(KafkaError.UNKNOWN)) is ErrorClass.CLUSTER_AWAY
    assert classify(KafkaError(KafkaError._INCONSISTENT, fatal=True)) is ErrorClass.FATAL_PRODUCER


@pytest.mark.parametrize("error_class", ErrorClass)
def test_every_class_leads_to_a_state_and_tells_a_cure(error_class: ErrorClass) -> None:
    """One sentence an operator can act on."""
    assert state_for(error_class) in StateName
    assert cure_for(error_class, None).endswith(".")


def test_only_a_bad_message_stops_a_pipeline() -> None:
    """An absent cluster, a missing topic or refused credentials never do."""
    assert [name for name in ErrorClass if state_for(name) is StateName.STOPPED] == [ErrorClass.MESSAGE]


def test_a_code_with_a_better_cure_tells_it() -> None:
    """Too large: the topic's limit is named."""
    assert "max.message.bytes" in cure_for(ErrorClass.MESSAGE, "MSG_SIZE_TOO_LARGE")
