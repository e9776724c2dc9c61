"""The keys of a schema registry, and of the schemas that records are written with: part of ``models``."""

import warnings
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from pg_tide_relay.config.addresses import HTTP_URL
from pg_tide_relay.config.base import ConfigModel, NonEmpty
from pg_tide_relay.config.marks import About, Entries
from pg_tide_relay.config.relations import Condition, Relation, only_with, together

RegistryUrls = Annotated[
    str,
    Entries(
        expects="a comma-separated list of http:// or https:// URLs",
        pattern=HTTP_URL,
        entry_expects="an http:// or https:// URL without user, password and query",
    ),
]
_TIMEOUT_MS = 5_000


def _without_url(key: str, test: Condition) -> Relation:
    """A key that means nothing where no registry is named."""
    return Relation(
        at=key,
        when=(test, Condition(test="unset", keys=("url",))),
        severity="error",
        message="has no effect without url",
    )


class SchemaRegistryConfig(ConfigModel):
    """A schema registry with Confluent's API."""

    url: Annotated[
        RegistryUrls | None,
        About(reason="no schema registry", reaches="the registry's client"),
    ] = Field(
        None,
        description="Where the registry's API begins, as in `http://schemas:8081` or, for Apicurio,"
        " `http://schemas:8080/apis/ccompat/v7`; of several, comma-separated, the next one is asked when one is away.",
    )
    username: Annotated[
        NonEmpty | None, About(reason="no authentication", reaches="HTTP basic authentication")
    ] = Field(None, description="User name, or the API key of a managed registry; needs `password`.")
    password: Annotated[
        Annotated[SecretStr, Field(min_length=1)] | None,
        About(reason="no authentication", reaches="HTTP basic authentication"),
    ] = Field(
        None,
        description="Password, or the API secret; give it as `${env:SCHEMA_REGISTRY_PASSWORD}`, so that the"
        " database does not hold it.",
    )
    bearer_token: Annotated[
        Annotated[SecretStr, Field(min_length=1)] | None,
        About(reason="no authentication", reaches="the header Authorization"),
    ] = Field(
        None,
        description="Token in place of user name and password; give it as `${env:SCHEMA_REGISTRY_TOKEN}`.",
    )
    tls_ca_cert: Annotated[
        NonEmpty | None, About(reason="the system's certificate authorities", reaches="TLS to the registry")
    ] = Field(
        None, description="Path, on the relay's machine, of the CA certificate that the registry must show."
    )
    tls_client_cert: Annotated[
        NonEmpty | None, About(reason="no client certificate", reaches="TLS to the registry")
    ] = Field(None, description="Path of the relay's own certificate (mTLS); needs `tls_client_key`.")
    tls_client_key: Annotated[
        NonEmpty | None, About(reason="no client certificate", reaches="TLS to the registry")
    ] = Field(None, description="Path of the private key of `tls_client_cert`.")
    timeout_ms: Annotated[
        int,
        Field(ge=1, le=60_000),
        About(unit="ms", reason="a registry answers in a few", reaches="the registry's client"),
    ] = Field(
        _TIMEOUT_MS,
        description="How long the registry may take to connect, and to answer; then it counts as away.",
    )
    auto_register: Annotated[
        bool,
        About(reason="who may change a contract should be decided", reaches="the registry"),
    ] = Field(
        False,
        description="Whether the relay registers a schema that its subject does not have, once the registry finds it"
        " compatible.",
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        *(
            _without_url(key, Condition(test="set", keys=(key,)))
            for key in (
                "username",
                "password",
                "bearer_token",
                "tls_ca_cert",
                "tls_client_cert",
                "tls_client_key",
            )
        ),
        _without_url("timeout_ms", Condition(test="none_of", keys=("timeout_ms",), values=(_TIMEOUT_MS,))),
        _without_url("auto_register", Condition(test="one_of", keys=("auto_register",), values=(True,))),
        *together("username", "password"),
        *together("tls_client_cert", "tls_client_key"),
        Relation(
            at="bearer_token",
            when=(
                Condition(test="set", keys=("bearer_token",)),
                Condition(test="set", keys=("username", "password")),
            ),
            severity="error",
            message="excludes username and password: choose one way to authenticate",
        ),
    )


def _excludes(first: str, second: str) -> Relation:
    return Relation(
        at=second,
        when=(Condition(test="set", keys=(first,)), Condition(test="set", keys=(second,))),
        severity="error",
        message=f"excludes {first}: the schema comes from one place",
    )


with warnings.catch_warnings():
    # pydantic has a deprecated method of this name, which nobody calls.
    warnings.filterwarnings("ignore", 'Field name "schema"')

    class _InlineSchema(ConfigModel):
        schema: Annotated[
            Annotated[str, Field(min_length=1)] | dict[str, Any] | None,
            About(reason="only the user knows the schema", reaches="the record's value"),
        ] = Field(  # type: ignore[assignment]
            None, description="The value's Avro schema itself: a JSON object, or the same as a string."
        )


class SerializationConfig(_InlineSchema):
    """The schemas that records are written with."""

    format: Annotated[
        Literal["json", "avro"] | None,
        About(reason="`json`, which needs no registry", reaches="the record's key and value"),
    ] = Field(
        None,
        description="How Debezium's change events are written: `json`, or `avro` as by Confluent's AvroConverter, which"
        " needs `row_schema` or `payload_as` `opaque`.",
    )
    subject_name_strategy: Annotated[
        Literal["TopicNameStrategy", "RecordNameStrategy", "TopicRecordNameStrategy"] | None,
        About(reason="`TopicNameStrategy`, what registries and readers expect", reaches="the subject"),
    ] = Field(
        None,
        description="The subject of a value's schema: `TopicNameStrategy` is `<topic>-value`, `RecordNameStrategy` the"
        " record's full name, `TopicRecordNameStrategy` both, as in `<topic>-<name>`.",
    )
    schema_file: Annotated[NonEmpty | None, About(reason="`schema` has it", reaches="the record's value")] = (
        Field(
            None,
            description="Path, on the relay's machine, of a file that holds it; read when the pipeline starts.",
        )
    )
    subject: Annotated[NonEmpty | None, About(reason="`schema` has it", reaches="the record's value")] = (
        Field(None, description="The subject in the registry whose schema is the value's; needs `version`.")
    )
    version: Annotated[
        Annotated[int, Field(ge=1)] | Literal["latest"] | None,
        About(reason="`schema` has it", reaches="the record's value"),
    ] = Field(
        None,
        description="Its version: a number, or `latest`, which is looked up when the pipeline starts.",
    )
    key: Annotated[
        Literal["text", "avro"] | None,
        About(reason="`text`, which every consumer reads", reaches="the record's key"),
    ] = Field(
        None,
        description="How the record's key is written: `text` as it is, `avro` as an Avro string under the subject"
        " `<topic>-key`. A key of `key_strategy` `struct` is always Avro.",
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        _excludes("schema", "schema_file"),
        _excludes("schema", "subject"),
        _excludes("schema_file", "subject"),
        _excludes("subject", "subject_name_strategy"),
        *together("subject", "version"),
    )


def relations_of_schemas() -> tuple[Relation, ...]:
    """What the keys of a pipeline's registry and schemas have to do with its wire format."""
    is_avro = Condition(test="one_of", keys=("wire_format",), values=("avro",))
    is_not_avro = Condition(test="none_of", keys=("wire_format",), values=("avro",))
    events_are_avro = Condition(test="one_of", keys=("serialization.format",), values=("avro",))
    events_are_not = Condition(test="none_of", keys=("serialization.format",), values=("avro",))
    return (
        _needs_registry(is_avro, "wire_format"),
        Relation(
            at="serialization.schema",
            when=(
                is_avro,
                Condition(
                    test="unset",
                    keys=("serialization.schema", "serialization.schema_file", "serialization.subject"),
                ),
            ),
            severity="error",
            message='required: wire_format "avro" needs schema, schema_file, or subject and version',
        ),
        *(
            Relation(
                at=key,
                when=(Condition(test="set", keys=(key,)), is_not_avro),
                severity="error",
                message='has no effect unless wire_format is "avro"',
            )
            for key in (f"serialization.{name}" for name in ("schema", "schema_file", "subject", "version"))
        ),
        *(
            Relation(
                at=key,
                when=(Condition(test="set", keys=(key,)), is_not_avro, events_are_not),
                severity="error",
                message='has no effect unless wire_format or serialization.format is "avro"',
            )
            for key in ("schema_registry.url", "serialization.subject_name_strategy", "serialization.key")
        ),
        *_relations_of_events(events_are_avro),
        Relation(
            at="wire_config.emit_tombstones",
            when=(Condition(test="set", keys=("wire_config.emit_tombstones",)), is_avro),
            severity="error",
            message="has no effect in avro, where a delete without payload is always a record without value",
        ),
        Relation(
            at="schema_registry.auto_register",
            when=(
                Condition(test="one_of", keys=("schema_registry.auto_register",), values=(True,)),
                Condition(test="set", keys=("serialization.subject",)),
                Condition(test="none_of", keys=("serialization.key",), values=("avro",)),
            ),
            severity="error",
            message="has no effect where the schema comes from the registry",
        ),
    )


def _needs_registry(is_avro: Condition, key: str) -> Relation:
    return Relation(
        at="schema_registry.url",
        when=(is_avro, Condition(test="unset", keys=("schema_registry.url",))),
        severity="error",
        message=f'required: {key} "avro" needs a schema registry',
    )


def _relations_of_events(are_avro: Condition) -> tuple[Relation, ...]:
    """The same for change events in Avro."""
    are_structs = Condition(test="one_of", keys=("wire_config.key_strategy",), values=("struct",))
    return (
        *only_with("wire_format", "debezium", "serialization.format"),
        _needs_registry(are_avro, "serialization.format"),
        Relation(
            at="serialization.format",
            when=(
                are_avro,
                Condition(test="one_of", keys=("wire_format",), values=("debezium",)),
                Condition(test="unset", keys=("wire_config.row_schema",)),
                Condition(test="none_of", keys=("wire_config.payload_as",), values=("opaque",)),
            ),
            severity="error",
            message='"avro" needs the types of columns: give wire_config.row_schema, or set payload_as to "opaque"',
        ),
        *(
            Relation(
                at=key,
                when=(are_avro, Condition(test="set", keys=(key,))),
                severity="error",
                message='has no effect where serialization.format is "avro": schemas are in the registry',
            )
            for key in ("wire_config.schemas_enable", "wire_config.key_schemas_enable")
        ),
        Relation(
            at="serialization.key",
            when=(
                are_avro,
                are_structs,
                Condition(test="one_of", keys=("serialization.key",), values=("text",)),
            ),
            severity="error",
            message='"text" contradicts wire_config.key_strategy "struct"',
        ),
    )
