"""The keys that say how a message becomes a record's bytes: part of ``models``."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pg_tide_relay.config.base import ConfigModel, NonEmpty
from pg_tide_relay.config.marks import About, Matches, Template
from pg_tide_relay.config.relations import Condition, Relation, only_with

SourceTemplate = Annotated[
    str, Field(min_length=1), Template(expects="a template of a source", placeholders=("stream_table",))
]
EventTypeTemplate = Annotated[
    str, Field(min_length=1), Template(expects="a template of a type", placeholders=("stream_table", "op"))
]
ServerName = Annotated[
    str,
    Matches(expects='a name of letters, digits, ".", "_" and "-"', pattern="[A-Za-z0-9._-]+"),
]
QualifiedTable = Annotated[
    str,
    Matches(expects="schema.table", pattern=r"[A-Za-z0-9 _-]+\.[A-Za-z0-9 _-]+"),
]
Converter = Literal["string", "json", "json_with_schema"]

_VALUE = "the record's value"
_KEY = "the record's key"


class RowColumn(ConfigModel):
    """A column of a row schema."""

    name: Annotated[NonEmpty, About(reason="only the user knows it", reaches=_VALUE)] = Field(
        description="The member of the payload."
    )
    type: Annotated[NonEmpty, About(reason="only the user knows it", reaches=_VALUE)] = Field(
        description="Its type, as PostgreSQL names it: `bigint`, `numeric(10,2)`, `timestamptz`, `text[]`."
    )


class WireConfig(ConfigModel):
    """Options of the wire format."""

    emit_tombstones: Annotated[
        bool | None,
        About(
            reason="`true` for Debezium, as there; else `false`, because a tombstone makes compaction forget the key",
            reaches=_VALUE,
        ),
    ] = Field(
        None,
        description="Whether a delete makes a record without value: in Debezium's format a second one behind the"
        " event, in the native format and an outbox router's in place of a payload that is missing; else its value is"
        " the JSON `null`.",
    )
    mode: Annotated[
        Literal["binary", "structured"] | None,
        About(
            reason="`binary`, whose value is the payload alone",
            reaches="the record's value and headers",
        ),
    ] = Field(
        None,
        description="CloudEvents' content mode: `binary` has attributes as headers and the payload as value,"
        " `structured` all in one JSON document.",
    )
    source: Annotated[
        SourceTemplate | None, About(reason="`/{stream_table}`", reaches="the event's source")
    ] = Field(
        None, description="The event's `source`, a URI or the end of one; `{stream_table}` is the outbox."
    )
    type: Annotated[
        EventTypeTemplate | None, About(reason="`{stream_table}.{op}`", reaches="the event's type")
    ] = Field(None, description="The event's `type`; `{stream_table}` and `{op}`.")
    server_name: Annotated[
        ServerName | None,
        About(
            reason="the first of the three names in a topic such as `dbserver1.public.orders`, else `pg_tide`",
            reaches="source.name, the names of schemas",
        ),
    ] = Field(None, description="What Debezium calls `topic.prefix`.")
    table: Annotated[
        QualifiedTable | None,
        About(
            reason="the other two names in such a topic, else `tide` and the outbox",
            reaches="source.schema, source.table, the names of schemas",
        ),
    ] = Field(None, description="The table whose rows the payloads are, as `schema.table`.")
    schemas_enable: Annotated[
        bool | None, About(reason="`false`: types have to be declared for it", reaches=_VALUE)
    ] = Field(
        None,
        description="Whether the value has its schema beside it, as JsonConverter's `schemas.enable`; needs"
        " `row_schema`, or `payload_as` `opaque`.",
    )
    payload_as: Annotated[
        Literal["row", "opaque"] | None,
        About(reason="`row`", reaches=_VALUE),
    ] = Field(
        None,
        description="What a payload is in `before` and `after`: `row`, an object with columns, or `opaque`, any JSON"
        " in one column `payload` beside `id`, the record's key.",
    )
    row_schema: Annotated[
        Annotated[list[RowColumn], Field(min_length=1, max_length=1600)] | Annotated[int, Field(ge=1)] | None,
        About(reason="payloads are sent as they are, and readers find the types", reaches=_VALUE),
    ] = Field(
        None,
        description="The types of the payload's members, in order; they are converted as Debezium does.",
    )
    decimal_handling_mode: Annotated[
        Literal["precise", "double", "string"] | None,
        About(reason="`precise`, as Debezium's", reaches=_VALUE),
    ] = Field(None, description="Debezium's `decimal.handling.mode`, for columns of type `numeric`.")
    time_precision_mode: Annotated[
        Literal[
            "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"
        ]
        | None,
        About(reason="`adaptive`, as Debezium's", reaches=_VALUE),
    ] = Field(None, description="Debezium's `time.precision.mode`, for dates and times without zone.")
    binary_handling_mode: Annotated[
        Literal["bytes", "base64", "base64-url-safe", "hex"] | None,
        About(reason="`bytes`, as Debezium's", reaches=_VALUE),
    ] = Field(None, description="Debezium's `binary.handling.mode`, for columns of type `bytea`.")
    key_strategy: Annotated[
        Literal["text", "struct"] | None,
        About(reason="`text`, as in every format", reaches=_KEY),
    ] = Field(
        None,
        description="The record's key: `text` is what `message_key` says, `struct` a JSON object of columns, as"
        " Debezium's.",
    )
    key_fields: Annotated[
        Annotated[list[NonEmpty], Field(min_length=1, max_length=32)] | None,
        About(reason="only the user knows them", reaches="the record's key, before"),
    ] = Field(None, description="The columns of the primary key.")
    key_schemas_enable: Annotated[bool | None, About(reason="`false`, as for the value", reaches=_KEY)] = (
        Field(None, description="Whether a key of `struct` has its schema beside it.")
    )
    emit_as: Annotated[
        Literal["c", "error", "key_only"] | None,
        About(
            reason="`c`, which every reader takes; a `before` of null in an update stops Flink",
            reaches="op, before",
        ),
    ] = Field(
        None,
        description="What becomes of an update or a delete without old payload: `c` sends an update as if it were"
        " new, `key_only` with a `before` of `key_fields` alone, `error` not at all. A delete is `key_only`"
        " with `c`, too.",
    )
    key_converter: Annotated[Converter | None, About(reason="`string`, the key as it is", reaches=_KEY)] = (
        Field(
            None,
            description="Whose bytes an outbox router's key has: `string` those of Connect's StringConverter, `json`"
            " of its JsonConverter without schemas, `json_with_schema` with them.",
        )
    )
    value_converter: Annotated[
        Converter | None, About(reason="`string`, the payload as it is", reaches=_VALUE)
    ] = Field(
        None,
        description="The same of the value: `string` is the payload, `json` the payload as an escaped JSON string,"
        " `json_with_schema` that string beside its schema.",
    )

    NOT_YET: ClassVar[tuple[str, ...]] = ("envelope",)


def _needs(key: str, value: object, message: str, *others: Condition) -> Relation:
    return Relation(
        at=key,
        when=(Condition(test="one_of", keys=(key,), values=(value,)), *others),
        severity="error",
        message=message,
    )


def _unset(*keys: str) -> Condition:
    return Condition(test="unset", keys=tuple(f"wire_config.{key}" for key in keys))


_NOT_OPAQUE = Condition(test="none_of", keys=("wire_config.payload_as",), values=("opaque",))
_OF_DEBEZIUM = (
    "server_name",
    "table",
    "schemas_enable",
    "payload_as",
    "row_schema",
    "decimal_handling_mode",
    "time_precision_mode",
    "binary_handling_mode",
    "key_strategy",
    "key_fields",
    "key_schemas_enable",
    "emit_as",
)
_OF_ROW_SCHEMA = ("decimal_handling_mode", "time_precision_mode", "binary_handling_mode")

WIRE_RELATIONS = (
    *only_with("wire_format", "cloudevents", "wire_config.mode", "wire_config.source", "wire_config.type"),
    *only_with("wire_format", "outbox_router", "wire_config.key_converter", "wire_config.value_converter"),
    *only_with("wire_format", "debezium", *(f"wire_config.{key}" for key in _OF_DEBEZIUM)),
    Relation(
        at="wire_config.emit_tombstones",
        when=(
            Condition(test="set", keys=("wire_config.emit_tombstones",)),
            Condition(test="one_of", keys=("wire_format",), values=("cloudevents",)),
        ),
        severity="error",
        message="has no effect in cloudevents, where the mode decides",
    ),
    *(
        Relation(
            at=f"wire_config.{key}",
            when=(Condition(test="set", keys=(f"wire_config.{key}",)), _unset("row_schema")),
            severity="error",
            message="has no effect without row_schema",
        )
        for key in _OF_ROW_SCHEMA
    ),
    Relation(
        at="wire_config.row_schema",
        when=(
            Condition(test="set", keys=("wire_config.row_schema",)),
            Condition(test="one_of", keys=("wire_config.payload_as",), values=("opaque",)),
        ),
        severity="error",
        message='payload_as "opaque" has columns of its own: choose one of the two',
    ),
    *(
        _needs(
            key,
            True,
            'needs the types of columns: give row_schema, or set payload_as to "opaque"',
            _unset("row_schema"),
            _NOT_OPAQUE,
        )
        for key in ("wire_config.schemas_enable", "wire_config.key_schemas_enable")
    ),
    _needs(
        "wire_config.key_schemas_enable",
        True,
        'has no effect unless key_strategy is "struct"',
        Condition(test="none_of", keys=("wire_config.key_strategy",), values=("struct",)),
    ),
    _needs("wire_config.key_strategy", "struct", "needs key_fields", _unset("key_fields"), _NOT_OPAQUE),
    _needs("wire_config.emit_as", "key_only", "needs key_fields", _unset("key_fields"), _NOT_OPAQUE),
    Relation(
        at="wire_config.key_fields",
        when=(
            Condition(test="set", keys=("wire_config.key_fields",)),
            Condition(test="one_of", keys=("wire_config.payload_as",), values=("opaque",)),
        ),
        severity="error",
        message='has no effect when payload_as is "opaque": the key is id',
    ),
)
"""What the keys of a wire format have to do with each other; they stand in the pipeline's configuration."""
