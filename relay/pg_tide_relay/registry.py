"""Asks a schema registry, by Confluent's API: looks schemas up, fetches them, tells and registers new ones.

Everything here waits for the network: for a thread of its own, or a command. A client lives as long as one question:
no connection is kept idle, and nothing is remembered that somebody may have changed since.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx2
from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from pg_tide_relay.config.registry_models import SchemaRegistryConfig
from pg_tide_relay.errors import RegistryError
from pg_tide_relay.registry_errors import (
    NOT_FOUND,
    NOT_THE_API,
    SUBJECT_UNKNOWN,
    classify_registry,
    incompatible,
    not_registered,
    unreadable,
    unusable,
)
from pg_tide_relay.schemas import Answer, Question
from pg_tide_wire_formats.avro import AvroSchemaError, compile_avro

_AVRO = "AVRO"
_IDS = 2**32  # four bytes of a frame

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a registry says of a schema under a subject; nothing was changed."""

    schema_id: int | None = None  # None: it is not registered
    subject_exists: bool = True
    compatible: bool = True  # would be
    level: str = ""  # the compatibility that the subject asks for; empty where nobody asked


class Registry:
    """The registry of one pipeline's configuration."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        """Nothing connects before the first question."""
        self._config = config
        self._place = f"the schema registry {config.url}"

    def ask(self, question: Question) -> Answer:
        """Look up, fetch, or where the configuration says so register; raises RegistryError."""
        with self._client() as client:
            if question.schema is None:
                return self._fetch(client, question.subject, question.version)
            found = self._find(client, question.subject, question.schema)
            if found.schema_id is not None:
                return Answer(found.schema_id, question.schema)
            place = f"{self._place}: the schema is not registered under {question.subject}"
            if not found.compatible:
                raise incompatible(f"{place}, and {_not_compatible(found)}")
            if not self._config.auto_register:
                raise not_registered(f"{place}; {_would_be(found)}")
            return Answer(self._register(client, question.subject, question.schema), question.schema)

    def look_up(self, question: Question) -> Answer:
        """The same, and never registers."""
        unchanged = self._config.model_copy(update={"auto_register": False})
        return Registry(unchanged).ask(question)

    def find(self, subject: str, schema: str) -> Found:
        """Whether the schema is registered under the subject, and if not, whether it could be."""
        with self._client() as client:
            return self._find(client, subject, schema)

    def register(self, subject: str, schema: str) -> int:
        """Register it and return its id, whatever ``auto_register`` says."""
        with self._client() as client:
            return self._register(client, subject, schema)

    # -- one request ---------------------------------------------------------------------------------

    def _find(self, client: SchemaRegistryClient, subject: str, schema: str) -> Found:
        wanted = Schema(schema, _AVRO)
        try:
            found = self._request(subject, lambda: client.lookup_schema(subject, wanted).schema_id)
        except SchemaRegistryError as unknown:
            subject_exists = unknown.error_code != SUBJECT_UNKNOWN
        else:
            return Found(schema_id=self._id(subject, found))
        if not subject_exists:
            return Found(subject_exists=False)
        # Registries compare texts: the same schema with its members in another order is found by looking.
        latest = self._latest(client, subject)
        if latest is not None and _is_same(latest.schema.schema_str, schema):
            return Found(schema_id=self._id(subject, latest.schema_id))
        # The latest version: the one that every registry can compare with. All of them are compared when it is
        # registered, where the level asks for that.
        try:
            compatible = self._request(subject, lambda: bool(client.test_compatibility(subject, wanted)))
        except SchemaRegistryError:  # deleted since
            return Found(subject_exists=False)
        return Found(compatible=compatible, level=self._level(client, subject))

    def _latest(self, client: SchemaRegistryClient, subject: str) -> RegisteredSchema | None:
        try:
            return self._request(subject, lambda: client.get_version(subject, "latest"))
        except SchemaRegistryError:  # deleted since
            return None

    def _level(self, client: SchemaRegistryClient, subject: str) -> str:
        """The level that a subject asks for: its own, else that of all. Only for words, so it may be missing."""
        for asked in (subject, None):
            try:
                return str(self._request(subject, partial(client.get_compatibility, asked)))
            except (SchemaRegistryError, RegistryError):
                continue
        return ""

    def _fetch(self, client: SchemaRegistryClient, subject: str, version: Any) -> Answer:
        try:
            found = self._request(subject, lambda: client.get_version(subject, version))
        except SchemaRegistryError as unknown:
            raise self._meaning(unknown, subject) from unknown
        place = f"{self._place}: version {found.version} of {subject}"
        text, kind = found.schema.schema_str, found.schema.schema_type or _AVRO
        if kind != _AVRO:
            raise unusable(f"{place} is a schema of type {kind}, not {_AVRO}")
        try:
            compile_avro(text)
        except AvroSchemaError as error:
            raise unusable(f"{place} can't be written with: {error}") from error
        return Answer(self._id(subject, found.schema_id), str(text))

    def _register(self, client: SchemaRegistryClient, subject: str, schema: str) -> int:
        wanted = Schema(schema, _AVRO)
        try:
            return self._id(subject, self._request(subject, lambda: client.register_schema(subject, wanted)))
        except SchemaRegistryError as unknown:
            raise self._meaning(unknown, subject) from unknown

    def _request(self, subject: str, request: Callable[[], T]) -> T:
        """The answer of one request; SchemaRegistryError where something is not found, else RegistryError."""
        try:
            return request()
        except SchemaRegistryError as error:
            if error.error_code in NOT_FOUND:
                raise
            raise self._meaning(error, subject) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, *NOT_THE_API) as error:
            raise self._meaning(error, subject) from error

    def _meaning(self, error: Exception, subject: str) -> RegistryError:
        return classify_registry(error, f"{self._place}, subject {subject}")

    def _id(self, subject: str, found: object) -> int:
        if not isinstance(found, int) or not 0 <= found < _IDS:
            raise self._meaning(TypeError("no id"), subject)
        return found

    @contextmanager
    def _client(self) -> Iterator[SchemaRegistryClient]:
        try:
            client = SchemaRegistryClient(_properties(self._config))
        except OSError as error:  # also what is wrong with a certificate
            raise unreadable(f"{self._place}: a certificate or key can't be used: {error}") from error
        with client:
            yield client


def _properties(config: SchemaRegistryConfig) -> dict[str, Any]:
    """The properties of the client, without retries: who asks comes back by itself, and says meanwhile why."""
    properties: dict[str, Any] = {
        "url": config.url,
        "timeout": config.timeout_ms / 1000,
        "max.retries": 0,
    }
    known_authorities = ssl.get_default_verify_paths()
    authorities = config.tls_ca_cert or known_authorities.cafile or known_authorities.capath
    if authorities is not None:
        properties["ssl.ca.location"] = authorities
    if config.tls_client_cert is not None:
        properties["ssl.certificate.location"] = config.tls_client_cert
        properties["ssl.key.location"] = config.tls_client_key
    if config.password is not None:
        properties["basic.auth.user.info"] = f"{config.username}:{config.password.get_secret_value()}"
    if config.bearer_token is not None:
        properties["bearer.auth.credentials.source"] = "STATIC_TOKEN"
        properties["bearer.auth.token"] = config.bearer_token.get_secret_value()
        properties["bearer.auth.logical.cluster"] = ""  # Confluent Cloud's own; required by the client
    return properties


def _is_same(first: str | None, second: str) -> bool:
    """Whether two texts are the same schema, whatever the order of members."""
    try:
        return first is not None and bool(json.loads(first) == json.loads(second))
    except (ValueError, RecursionError):
        return False


def _not_compatible(found: Found) -> str:
    return f"is not compatible with its latest version{_under(found)}"


def _would_be(found: Found) -> str:
    if not found.subject_exists:
        return "the subject does not exist, so nothing speaks against registering it"
    return f"it would be compatible with the latest version there{_under(found)}"


def _under(found: Found) -> str:
    return f" (compatibility {found.level})" if found.level else ""
