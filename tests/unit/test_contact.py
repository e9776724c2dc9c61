"""What is heard of a cluster, and what is made of it: refused credentials, connections that nobody answers."""

import pytest
from confluent_kafka import KafkaError

from delivery_kit import RecordedLog
from pg_tide_relay.contact import Contact
from pg_tide_relay.delivery_state import Status, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.produce import ProducerEvent, refuses_certificate

RECEIVED = "ssl://127.0.0.1:9093/bootstrap: Receive failed: error:0A00045C:SSL routines::"


class Heard:
    """A contact whose time stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.status = Status(RecordedLog())
        self.contact = Contact(self.status, lambda: self.now, 30.0, "kafka-1:9092")

    def hear(self, code: str, error_class: ErrorClass = ErrorClass.CLUSTER_AWAY) -> None:
        self.contact.hear(ProducerEvent(error_class=error_class, code=code, cause=f"{code}!", fatal=False))


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (KafkaError._TRANSPORT, "tlsv13 alert certificate required: SSL alert number 116", True),
        (KafkaError._TRANSPORT, "sslv3 alert bad certificate: SSL alert number 42", True),
        (KafkaError._TRANSPORT, "tlsv1 alert unknown ca: SSL alert number 48", True),
        (KafkaError._TRANSPORT, "tlsv1 alert internal error: SSL alert number 80", False),
        (KafkaError._TRANSPORT, "Connection refused", False),
        (KafkaError._ALL_BROKERS_DOWN, "SSL alert number 116", False),
    ],
)
def test_an_alert_about_a_certificate_is_told_from_a_connection_that_broke(
    code: int, text: str, expected: bool
) -> None:
    """By its number: the words are OpenSSL's, the numbers those of the protocol."""
    assert refuses_certificate(KafkaError(code, RECEIVED + text)) is expected


def test_connections_closed_without_a_word_are_said_with_their_addresses() -> None:
    """What plaintext at a TLS listener looks like; after two seconds, not after a whole request timeout."""
    heard = Heard()
    heard.hear("_ALL_BROKERS_DOWN")
    heard.now = 2.1
    heard.contact.notice(1, 1)
    state = heard.status.state
    assert (state.name, state.code) == (StateName.BACKING_OFF, "_ALL_BROKERS_DOWN")
    assert "kafka-1:9092" in (state.cause or "")
    assert "tls_enabled" in (state.cure or "")


def test_a_connection_that_was_refused_is_the_better_cause() -> None:
    """It names the address and the reason."""
    heard = Heard()
    heard.hear("_TRANSPORT")
    heard.hear("_ALL_BROKERS_DOWN")
    heard.now = 2.1
    heard.contact.notice(1, 1)
    assert heard.status.state.cause == "_TRANSPORT!"


def test_a_cause_that_is_heard_later_is_told_once() -> None:
    """A question timed out before anything was heard; from then on the cause stays, whatever else is heard."""
    heard = Heard()
    heard.contact.away(Trouble(error_class=ErrorClass.CLUSTER_AWAY, cause="timed out"))
    assert heard.status.state.cause == "timed out"
    for code in ("_RESOLVE", "_TRANSPORT"):
        heard.hear(code)
        heard.contact.away(Trouble(error_class=ErrorClass.CLUSTER_AWAY, cause="timed out"))
        assert heard.status.state.code == "_RESOLVE"
    heard.contact.acknowledged()
    heard.contact.away(Trouble(error_class=ErrorClass.CLUSTER_AWAY, cause="timed out"))
    assert heard.status.state.code == "_TRANSPORT"


def test_refused_credentials_are_remembered_until_something_is_answered() -> None:
    """A message delivered, or a question; or a new producer."""
    heard = Heard()
    for answered in (heard.contact.acknowledged, heard.contact.answered, heard.contact.begin):
        assert not heard.contact.is_refused
        heard.hear("_AUTHENTICATION", ErrorClass.CREDENTIALS)
        assert heard.contact.is_refused
        assert heard.status.state.name is StateName.ERROR
        answered()
    assert not heard.contact.is_refused
