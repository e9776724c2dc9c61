"""What a registry's answers and silences mean: a row each, and nothing that blames a message."""

import ssl
from typing import Any

import httpx2
import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from pg_tide_relay.delivery_state import Status, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass, RegistryError
from pg_tide_relay.registry_errors import (
    NOT_THE_API,
    away,
    classify_registry,
    incompatible,
    not_registered,
    unreadable,
    unusable,
)

PLACE = "the schema registry http://schemas:8081, subject a-value"
AWAY = (ErrorClass.CLUSTER_AWAY, "REGISTRY_AWAY")


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def answer(status: int, code: int | None = None, message: Any = "said") -> Exception:
    return SchemaRegistryError(status, code, message)  # type: ignore[arg-type]


TABLE: list[tuple[Exception, ErrorClass, str]] = [
    (httpx2.ConnectError("[Errno 111] Connection refused"), *AWAY),
    (httpx2.ConnectTimeout("timed out"), *AWAY),
    (httpx2.ReadTimeout("timed out"), *AWAY),
    (httpx2.ReadError(""), *AWAY),
    (httpx2.RemoteProtocolError("Server disconnected without sending a response."), *AWAY),
    (caused(httpx2.ConnectError("EOF"), ssl.SSLEOFError()), *AWAY),
    (answer(408), *AWAY),
    (answer(429), *AWAY),
    (answer(500, 50001), *AWAY),
    (answer(502, -1), *AWAY),
    (answer(503), *AWAY),
    (answer(504), *AWAY),
    (
        caused(httpx2.ConnectError("certificate verify failed"), ssl.SSLCertVerificationError()),
        ErrorClass.CREDENTIALS,
        "REGISTRY_TLS",
    ),
    (
        caused(httpx2.ReadError("certificate required"), ssl.SSLError()),
        ErrorClass.CREDENTIALS,
        "REGISTRY_TLS",
    ),
    (answer(401, 40101), ErrorClass.CREDENTIALS, "REGISTRY_UNAUTHORIZED"),
    (answer(403, 40301), ErrorClass.CREDENTIALS, "REGISTRY_FORBIDDEN"),
    (answer(404, 40401), ErrorClass.CONFIGURATION, "SUBJECT_UNKNOWN"),
    (answer(404, 40402), ErrorClass.CONFIGURATION, "SCHEMA_VERSION_UNKNOWN"),
    (answer(404, 40403), ErrorClass.CONFIGURATION, "SCHEMA_UNKNOWN"),
    (answer(404, None, None), ErrorClass.CONFIGURATION, "REGISTRY_URL"),
    (answer(404, -1, b"<html>"), ErrorClass.CONFIGURATION, "REGISTRY_URL"),
    (answer(301, -1), ErrorClass.CONFIGURATION, "REGISTRY_URL"),
    (answer(405), ErrorClass.CONFIGURATION, "REGISTRY_URL"),
    (answer(409, 409), ErrorClass.CONFIGURATION, "SCHEMA_INCOMPATIBLE"),
    (answer(422, 42201), ErrorClass.CONFIGURATION, "SCHEMA_REFUSED"),
    (answer(422, 42205), ErrorClass.CONFIGURATION, "SCHEMA_REFUSED"),
    (
        httpx2.LocalProtocolError("Illegal header value b'Bearer s3cret\\n'"),
        ErrorClass.CONFIGURATION,
        "REGISTRY_REQUEST",
    ),
    (UnicodeEncodeError("ascii", "s3crét", 4, 5, "s3crét"), ErrorClass.CONFIGURATION, "REGISTRY_REQUEST"),
    (httpx2.UnsupportedProtocol("no protocol"), ErrorClass.CONFIGURATION, "REGISTRY_URL"),
    (httpx2.InvalidURL("invalid port"), ErrorClass.CONFIGURATION, "REGISTRY_URL"),
    *((kind("no JSON"), ErrorClass.CONFIGURATION, "REGISTRY_URL") for kind in NOT_THE_API),
]


@pytest.mark.parametrize(
    ("raised", "error_class", "code"), TABLE, ids=[f"{type(row[0]).__name__} {row[0]}" for row in TABLE]
)
def test_an_error_has_a_class_a_name_and_a_cure(
    raised: Exception, error_class: ErrorClass, code: str
) -> None:
    found = classify_registry(raised, PLACE)
    assert (found.error_class, found.code) == (error_class, code)
    assert found.cause.startswith(PLACE)
    assert "s3cr" not in found.cause
    assert found.cure.endswith(".")


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (away("x"), ErrorClass.CLUSTER_AWAY),
        (not_registered("x"), ErrorClass.CONFIGURATION),
        (incompatible("x"), ErrorClass.CONFIGURATION),
        (unusable("x"), ErrorClass.CONFIGURATION),
        (unreadable("x"), ErrorClass.CONFIGURATION),
    ],
)
def test_none_is_the_fault_of_a_message(error: RegistryError, error_class: ErrorClass) -> None:
    """Nothing is skipped for it, and no state is one that nothing leads out of."""
    assert error.error_class is error_class

    class Silent:
        def debug(self, event: str, /, **fields: object) -> None: ...
        def info(self, event: str, /, **fields: object) -> None: ...
        def warning(self, event: str, /, **fields: object) -> None: ...

    status = Status(Silent())
    status.trouble(Trouble(error_class=error_class, cause=error.cause, code=error.code, cure=error.cure))
    assert status.state.name in (StateName.BACKING_OFF, StateName.ERROR)
    assert status.state.cure == error.cure
    status.running()
    assert status.state.name is StateName.RUNNING


def test_a_page_in_place_of_an_answer_is_cut_and_kept_on_one_line() -> None:
    """A proxy's page is not written into the database as a whole."""
    found = classify_registry(answer(503, -1, "<html>\n" + "x" * 10_000), PLACE)
    assert "\n" not in found.cause
    assert len(found.cause) < 700
