"""Kafka's error codes: every one of the table has its class, a state and a cure."""

import pytest
from confluent_kafka import KafkaError

from pg_tide_relay.error_policy import StateName, cure_for, cure_for_creation, state_for
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_errors import (
    DEFAULT,
    DEFAULT_FATAL,
    ELSEWHERE,
    MEANINGS,
    Meaning,
    classify,
    classify_creation,
)

TABLE = {
    ErrorClass.MESSAGE: (10, 18, 4, 2, 87, 32, 44),
    ErrorClass.CONFIGURATION: (
        *(76, 43, 21, 53, 50, 17, 35, 37, 38, 40, 42, 54, 114, 115),
        *(-145, -154, -165, -170, -171, -186, -189),
    ),
    ErrorClass.DESTINATION: (3, 29, 100, 103, -188, -190),
    ErrorClass.CLUSTER_AWAY: (
        *(-1, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 19, 20, 41, 51, 52, 56, 57),
        *(72, 74, 75, 77, 80, 83, 89, 97, 116, 129),
        *(-137, -146, -153, -155, -158, -163, -164, -166, -167, -177, -178, -180, -182, -183),
        *(-185, -187, -192, -193, -194, -195, -196, -198, -199),
    ),
    ErrorClass.CREDENTIALS: (-169, 58, 33, 34, -181, 31, 61, 62, 66),
    ErrorClass.FATAL_PRODUCER: (45, 46, 48, 49, 59, 120, -148, -149, -150, -172, -173),
    ErrorClass.FENCED: (90, 47, -144),
    ErrorClass.RESEND: (-138, -184, -152, -151, -197, 55),
}

CONSTANTS = {name: code for name, code in vars(KafkaError).items() if isinstance(code, int)}


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


def test_no_code_of_the_client_is_forgotten() -> None:
    """Each constant of KafkaError has its class, or is named as one that the relay's requests never meet.

    A release of the client with new codes fails here until somebody has decided what they mean.
    """
    classified = {code for meaning in MEANINGS for code in meaning.codes}
    forgotten = {name for name, code in CONSTANTS.items() if code not in classified} - ELSEWHERE
    assert forgotten == set()
    assert set(CONSTANTS) >= ELSEWHERE
    assert {name for name in ELSEWHERE if CONSTANTS[name] in classified} == set()


def test_every_code_that_is_classified_stands_in_the_table_above_and_once() -> None:
    classified = [code for meaning in MEANINGS for code in meaning.codes]
    assert len(classified) == len(set(classified))
    assert {code for codes in TABLE.values() for code in codes} == {*classified, KafkaError.TOPIC_EXCEPTION}


@pytest.mark.parametrize("name", sorted(ELSEWHERE - {"TOPIC_EXCEPTION", "NO_ERROR"}))
def test_a_code_that_is_expected_nowhere_blames_no_message(name: str) -> None:
    assert classify(KafkaError(CONSTANTS[name])) is DEFAULT is ErrorClass.CLUSTER_AWAY


def test_a_code_that_the_table_does_not_have_ends_the_producer_only_when_the_client_says_so() -> None:
    """A broker of a later release answers with a number that nobody here knows."""
    assert classify(KafkaError(1234)) is DEFAULT
    assert classify(KafkaError(1234, fatal=True)) is DEFAULT_FATAL is ErrorClass.FATAL_PRODUCER
    assert classify(KafkaError(KafkaError.UNKNOWN)) is ErrorClass.CLUSTER_AWAY


@pytest.mark.parametrize("meaning", MEANINGS, ids=lambda meaning: KafkaError(meaning.codes[0]).name())
def test_every_code_has_one_sentence_for_the_operator(meaning: Meaning) -> None:
    for code in meaning.codes:
        cure = cure_for(meaning.error_class, KafkaError(code).name())
        assert cure == (meaning.cure or cure_for(meaning.error_class, None))
        assert cure.endswith(".")
        assert "\n" not in cure


@pytest.mark.parametrize("topic_is_template", [False, True])
def test_a_neighbours_fault_is_always_sent_again(topic_is_template: bool) -> None:
    """The verdict names the guilty record apart; this one is innocent, alone or not, fatal or not."""
    for fatal in (False, True):
        error = KafkaError(KafkaError._INVALID_DIFFERENT_RECORD, fatal=fatal)
        assert classify(error, topic_is_template=topic_is_template) is ErrorClass.RESEND


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
