"""What a schema registry's refusals and silences mean, and what the operator is told to do.

Whatever stands in the way, no message is to blame: the pipeline waits, and goes on by itself once it is right.
"""

import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, NamedTuple

import httpx2
from confluent_kafka.schema_registry.error import SchemaRegistryError

from pg_tide_relay.errors import ErrorClass, RegistryError

SUBJECT_UNKNOWN: Final = 40401
"""Confluent's error codes, in answers of HTTP status 404."""
_VERSION_UNKNOWN: Final = 40402
_SCHEMA_UNKNOWN: Final = 40403
NOT_FOUND: Final = frozenset({SUBJECT_UNKNOWN, _VERSION_UNKNOWN, _SCHEMA_UNKNOWN})

_AWAY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

# What a connection that breaks off looks like to TLS.
_BROKEN_OFF: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)

NOT_THE_API: Final = (TypeError, ValueError, KeyError, AttributeError, RecursionError)
"""What the client raises when an answer is no document, or another one than the API's."""

_TEXT_MAX: Final = 500
"""Characters of a registry's own words: some answer with a page."""


class _Verdict(NamedTuple):
    error_class: ErrorClass
    code: str
    cure: str


_CURE_AWAY: Final = (
    "Nothing is lost: delivery goes on by itself when the schema registry answers again; schema_registry.url says"
    " where it is looked for."
)
_CURE_URL: Final = (
    "Correct schema_registry.url: it is where Confluent's API begins, which Apicurio has below"
    " /apis/ccompat/v7."
)
_VERDICTS: Final[dict[HTTPStatus | int, _Verdict]] = {
    HTTPStatus.UNAUTHORIZED: _Verdict(
        ErrorClass.CREDENTIALS,
        "REGISTRY_UNAUTHORIZED",
        "Correct username and password, or bearer_token, in schema_registry.",
    ),
    HTTPStatus.FORBIDDEN: _Verdict(
        ErrorClass.CREDENTIALS,
        "REGISTRY_FORBIDDEN",
        "Give the relay's user in the schema registry the right to read the subject, with auto_register also to"
        " write it.",
    ),
    HTTPStatus.CONFLICT: _Verdict(
        ErrorClass.CONFIGURATION,
        "SCHEMA_INCOMPATIBLE",
        "Change the schema so that it is compatible, or the subject's compatibility level in the registry.",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: _Verdict(
        ErrorClass.CONFIGURATION,
        "SCHEMA_REFUSED",
        "Correct the schema, or ask who keeps the registry for its rules.",
    ),
    SUBJECT_UNKNOWN: _Verdict(
        ErrorClass.CONFIGURATION,
        "SUBJECT_UNKNOWN",
        "Correct serialization.subject, or register a schema under it; delivery goes on by itself.",
    ),
    _VERSION_UNKNOWN: _Verdict(
        ErrorClass.CONFIGURATION,
        "SCHEMA_VERSION_UNKNOWN",
        "Correct serialization.version, or register it; delivery goes on by itself.",
    ),
    _SCHEMA_UNKNOWN: _Verdict(
        ErrorClass.CONFIGURATION, "SCHEMA_UNKNOWN", "Register the schema; delivery goes on by itself."
    ),
}


def away(cause: str) -> RegistryError:
    """Nobody answers, or the registry is in trouble itself."""
    return RegistryError(ErrorClass.CLUSTER_AWAY, "REGISTRY_AWAY", cause, _CURE_AWAY)


def not_registered(cause: str) -> RegistryError:
    """A schema that its subject does not have, and that the relay may not register."""
    return RegistryError(
        ErrorClass.CONFIGURATION,
        "SCHEMA_NOT_REGISTERED",
        cause,
        "Register it with pg-tide schemas ensure --register, or set schema_registry.auto_register to true; delivery"
        " goes on by itself.",
    )


def incompatible(cause: str) -> RegistryError:
    """A schema that breaks its subject's compatibility."""
    return _error(_VERDICTS[HTTPStatus.CONFLICT], cause)


def unusable(cause: str) -> RegistryError:
    """A schema from the registry that records can't be written with."""
    return RegistryError(
        ErrorClass.CONFIGURATION,
        "SCHEMA_UNUSABLE",
        cause,
        "Name another subject or version in serialization, or register a schema that can be used.",
    )


def unreadable(cause: str) -> RegistryError:
    """Certificates or keys on the relay's machine that can't be used."""
    return RegistryError(
        ErrorClass.CONFIGURATION,
        "REGISTRY_CERTIFICATES",
        cause,
        "Correct tls_ca_cert, tls_client_cert and tls_client_key in schema_registry.",
    )


def classify_registry(error: Exception, place: str) -> RegistryError:
    """The meaning of what the registry's client raised. ``place``: what was asked for, in words."""
    if isinstance(error, SchemaRegistryError):
        return _of_answer(error, place)
    if isinstance(error, httpx2.LocalProtocolError | UnicodeEncodeError):
        # What it says would quote the header.
        return RegistryError(
            ErrorClass.CONFIGURATION,
            "REGISTRY_REQUEST",
            f"{place}: bearer_token has characters that HTTP does not allow",
            "Give schema_registry.bearer_token without blanks and line breaks around it.",
        )
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return _no_api(f"{place}: {error}")
    if isinstance(error, httpx2.HTTPError):
        return _of_transport(error, place)
    return _no_api(f"{place}: the answer is none of a schema registry's")


def _of_answer(error: SchemaRegistryError, place: str) -> RegistryError:
    status, code = error.http_status_code, error.error_code
    said = " ".join(str(error.error_message or "").split())[:_TEXT_MAX]
    cause = f"{place}: {said or 'no reason given'} (HTTP status {status})"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AWAY:
        return away(cause)
    verdict = _VERDICTS.get(code) if status == HTTPStatus.NOT_FOUND else _VERDICTS.get(status)
    return _no_api(cause) if verdict is None else _error(verdict, cause)


def _of_transport(error: httpx2.HTTPError, place: str) -> RegistryError:
    said = str(error) or type(error).__name__
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _BROKEN_OFF):
            return RegistryError(
                ErrorClass.CREDENTIALS,
                "REGISTRY_TLS",
                f"{place}: {said}",
                "Correct tls_ca_cert, tls_client_cert and tls_client_key in schema_registry, https:// in its url,"
                " or the registry's certificate.",
            )
    return away(f"{place}: no answer: {said}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _no_api(cause: str) -> RegistryError:
    return RegistryError(ErrorClass.CONFIGURATION, "REGISTRY_URL", cause, _CURE_URL)


def _error(verdict: _Verdict, cause: str) -> RegistryError:
    return RegistryError(verdict.error_class, verdict.code, cause, verdict.cure)
