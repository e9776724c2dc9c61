"""The keys of a pipeline's configuration: the only source of truth.

The SQL rules behind ``tide.relay_validate``, the view ``tide.config_keys`` and the reference table
are generated from here (``make generate``).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr

from pg_tide_relay.config.addresses import HOST, PORT
from pg_tide_relay.config.base import ConfigModel, NonEmpty
from pg_tide_relay.config.dlq_models import DlqConfig
from pg_tide_relay.config.marks import About, Entries, NotPrefixed, Template
from pg_tide_relay.config.pace_models import RateLimitConfig, RetryConfig
from pg_tide_relay.config.registry_models import (
    SchemaRegistryConfig,
    SerializationConfig,
    relations_of_schemas,
)
from pg_tide_relay.config.relations import Condition, Relation, only_with, together
from pg_tide_relay.config.transaction_models import RELATIONS_OF_DELIVERY, Delivery, TransactionsConfig
from pg_tide_relay.config.wire_models import WIRE_RELATIONS, WireConfig

Brokers = Annotated[
    str,
    Entries(
        expects="a comma-separated list of host:port",
        pattern=f"{HOST}:{PORT}",
        entry_expects="host:port with a port from 1 to 65535 (an IPv6 address in brackets)",
    ),
]
# Kafka: 1 to 249 of these characters, and neither "." nor "..".
TopicTemplate = Annotated[
    str,
    Field(min_length=1),
    Template(
        expects="a topic template",
        placeholders=("stream_table", "op", "outbox_id"),
        dotted=("payload", "headers"),
        literal="[A-Za-z0-9._-]",
        literal_expects='a topic name has letters, digits, ".", "_" and "-"',
        literal_length_max=249,
        refused=(".", ".."),
    ),
]
KeyTemplate = Annotated[
    str,
    Field(min_length=1),
    Template(
        expects="a record key template",
        placeholders=("dedup_key", "stream_table", "op", "outbox_id", "key"),
        dotted=("payload", "headers"),
    ),
]
HeaderName = Annotated[
    str, Field(min_length=1), NotPrefixed(expects="a header name that is not empty", prefix="pg_tide_")
]


class TransformConfig(ConfigModel):
    """Which messages are sent, and in which shape."""

    filter: Annotated[
        NonEmpty | None, About(reason="every message is sent", reaches="which messages are sent")
    ] = Field(
        None,
        description="JMESPath expression over the payload; a message for which it is false (null, `false`, empty"
        " string, array or object; not 0) is not sent, and counts as done.",
    )
    payload: Annotated[
        NonEmpty | None, About(reason="the payload as it was published", reaches="the record's value")
    ] = Field(
        None,
        description="JMESPath expression whose value is sent instead of the payload; the old payload gets the same"
        " shape.",
    )
    on_null: Annotated[
        Literal["pass", "drop"],
        About(reason="a delete says something even without a payload", reaches="which messages are sent"),
    ] = Field(
        "pass",
        description="What the filter makes of a message with neither payload nor old payload: `pass` sends it,"
        " `drop` does not.",
    )


_TOPIC_WARNINGS = (
    Relation(
        at="topic",
        when=(Condition(test="uses", keys=("topic",), values=("op",)),),
        severity="warning",
        message="{op} splits the history of one entity over several topics: its order is lost",
    ),
    Relation(
        at="topic",
        when=(Condition(test="uses", keys=("topic",), values=("outbox_id",)),),
        severity="warning",
        message="{outbox_id} makes a topic of its own for every message",
    ),
)


class RoutingRule(ConfigModel):
    """Where some of the messages go."""

    when: Annotated[
        NonEmpty, About(reason="only the user knows which messages", reaches="the record's topic")
    ] = Field(
        description="JMESPath expression over what the filter sees; the first rule for which it is true decides."
    )
    topic: Annotated[
        TopicTemplate, About(reason="only the user knows the topic", reaches="the record's topic")
    ] = Field(description="Template of the topic for these messages.")
    message_key: Annotated[
        KeyTemplate | None, About(reason="the pipeline's `message_key`", reaches="the record's key")
    ] = Field(None, description="Template of the record's key for these messages.")
    headers: Annotated[
        dict[HeaderName, str] | None, About(reason="only the pipeline's", reaches="the record's headers")
    ] = Field(
        None, description="Headers for these messages, beside and before the pipeline's of the same name."
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = _TOPIC_WARNINGS


class RoutingConfig(ConfigModel):
    """Which message goes to which topic."""

    rules: Annotated[
        list[RoutingRule],
        Field(max_length=100),
        About(reason="all messages go to `topic`", reaches="the record's topic, key and headers"),
    ] = Field(
        [],
        description="Rules in the order in which they are asked; a message that none of them takes goes to `topic`.",
    )


class TopicsConfig(ConfigModel):
    """How the relay treats topics that do not exist."""

    policy: Annotated[
        Literal["broker", "require", "create"],
        About(
            reason="what a Kafka client does when nobody says otherwise",
            reaches="allow.auto.create.topics, the admin API",
        ),
    ] = Field(
        "broker",
        description="What happens when a topic does not exist: `broker` leaves its creation to the broker's"
        " `auto.create.topics.enable`, `require` never asks for it, `create` makes the relay create it.",
    )
    # The upper bounds are those of the client.
    partitions: Annotated[
        Annotated[int, Field(ge=1, le=100_000)] | None,
        About(unit="partitions", reason="the broker's `num.partitions`", reaches="the topic that is created"),
    ] = Field(None, description="Number of partitions of a topic that the relay creates.")
    replication: Annotated[
        Annotated[int, Field(ge=1, le=10_000)] | None,
        About(
            unit="copies",
            reason="the broker's `default.replication.factor`",
            reaches="the topic that is created",
        ),
    ] = Field(None, description="Copies of each partition of a topic that the relay creates.")
    configs: Annotated[
        dict[NonEmpty, str] | None,
        About(reason="the broker's own", reaches="the topic that is created"),
    ] = Field(
        None,
        description="Kafka's settings of a topic that the relay creates, such as"
        ' `{"cleanup.policy": "compact"}`; all values are strings.',
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = only_with(
        "policy", "create", "partitions", "replication", "configs"
    )


class PipelineConfig(ConfigModel):
    """A pipeline from an outbox to Kafka."""

    sink_type: Annotated[Literal["kafka"], About(reason="says what the other keys mean")] = Field(
        description='The kind of sink; must be `"kafka"`.'
    )
    brokers: Annotated[
        Brokers, About(reason="only the user knows the cluster", reaches="bootstrap.servers")
    ] = Field(description="Brokers to begin with, comma-separated `host:port`; an IPv6 address in brackets.")
    topic: Annotated[
        TopicTemplate, About(reason="only the user knows the topic", reaches="the record's topic")
    ] = Field(
        description="Target topic; `{stream_table}` is the outbox's name, `{op}` is `insert`, `update` or"
        " `delete`, `{outbox_id}` the message's id, `{payload.a.b}` a member of the payload,"
        " `{headers.name}` one of the message's headers."
    )
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None,
        About(reason="no authentication", reaches="sasl.mechanism, security.protocol"),
    ] = Field(None, description="How the relay proves who it is; needs `sasl_username` and `sasl_password`.")
    sasl_username: Annotated[NonEmpty | None, About(reason="no authentication", reaches="sasl.username")] = (
        Field(None, description="SASL user name, or the API key of a managed service.")
    )
    sasl_password: Annotated[
        Annotated[SecretStr, Field(min_length=1)] | None,
        About(reason="no authentication", reaches="sasl.password"),
    ] = Field(
        None,
        description="SASL password, or the API secret; give it as `${env:KAFKA_PASSWORD}`, so that the"
        " database does not hold it.",
    )
    tls_enabled: Annotated[bool, About(reason="the brokers' own default", reaches="security.protocol")] = (
        Field(False, description="Whether connections to brokers are encrypted.")
    )
    tls_ca_cert: Annotated[
        NonEmpty | None, About(reason="the system's certificate authorities", reaches="ssl.ca.location")
    ] = Field(None, description="Path, on the relay's machine, of the CA certificate that brokers must show.")
    tls_client_cert: Annotated[
        NonEmpty | None, About(reason="no client certificate", reaches="ssl.certificate.location")
    ] = Field(None, description="Path of the relay's own certificate (mTLS); needs `tls_client_key`.")
    tls_client_key: Annotated[
        NonEmpty | None, About(reason="no client certificate", reaches="ssl.key.location")
    ] = Field(None, description="Path of the private key of `tls_client_cert`.")
    compression: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"],
        About(reason="costs no CPU; zstd suits most pipelines", reaches="compression.type"),
    ] = Field("none", description="How produce batches are compressed.")
    acks: Annotated[
        Literal["0", "1", "all"], About(reason="what was acknowledged is not lost", reaches="acks")
    ] = Field(
        "all",
        description="When a message counts as delivered: `0` at once, `1` when the leader has written it,"
        " `all` when every in-sync replica has.",
    )
    batch_size: Annotated[
        int,
        Field(ge=1, le=10_000),
        About(
            unit="messages",
            reason="small latency; 500 to 1000 suits a high volume",
            reaches="batch.num.messages, messages read at a time",
        ),
    ] = Field(100, description="Most messages in one produce batch.")
    linger_ms: Annotated[
        int,
        Field(ge=0, le=900_000),
        About(unit="ms", reason="hardly felt, and fills batches", reaches="linger.ms"),
    ] = Field(10, description="How long the producer waits for a batch to fill.")
    idempotent: Annotated[
        bool,
        About(reason="works where the cluster gives no right to it", reaches="enable.idempotence"),
    ] = Field(
        False,
        description="Whether the broker must drop the producer's own repeats: `true` makes it an error where"
        " the cluster refuses; `false` uses it where the cluster permits.",
    )
    request_timeout_ms: Annotated[
        int,
        Field(ge=1, le=900_000),
        About(
            unit="ms",
            reason="Kafka's own default",
            reaches="request.timeout.ms, the detection of an absent cluster",
        ),
    ] = Field(30_000, description="How long a broker may take to answer a produce request.")
    message_key: Annotated[
        KeyTemplate | None,
        About(reason="the message's key, else its dedup key", reaches="the record's key"),
    ] = Field(
        None,
        description="Template of the record's key, which decides the partition: `{dedup_key}`, `{key}`,"
        " `{stream_table}`, `{op}`, `{outbox_id}`, `{payload.a.b}`, `{headers.name}`.",
    )
    headers: Annotated[
        dict[HeaderName, str] | None,
        About(reason="none beside those of the message", reaches="the record's headers"),
    ] = Field(None, description="Headers on every record; names with `pg_tide_` are reserved.")
    wire_format: Annotated[
        Literal["native", "debezium", "avro", "cloudevents", "outbox_router"],
        About(reason="the payload as PostgreSQL renders it", reaches="the record's value and headers"),
    ] = Field(
        "native",
        description="How a message becomes the record's bytes: `native` is the payload as it is, `debezium` a change"
        " event as Debezium writes it, `avro` the payload in Avro with the id of its registered schema, `cloudevents`"
        " an event of CloudEvents 1.0, `outbox_router` the record of Debezium's outbox event router.",
    )
    wire_config: Annotated[WireConfig, About(reason="see its keys")] = Field(
        WireConfig(), description="Options of the wire format."
    )
    serialization: Annotated[SerializationConfig, About(reason="see its keys")] = Field(
        SerializationConfig(), description="The schemas that records are written with."
    )
    schema_registry: Annotated[SchemaRegistryConfig, About(reason="see its keys")] = Field(
        SchemaRegistryConfig(), description="The registry that knows the schemas."
    )
    transform: Annotated[TransformConfig, About(reason="see its keys")] = Field(
        TransformConfig(), description="Which messages are sent, and in which shape."
    )
    routing: Annotated[RoutingConfig, About(reason="see its keys")] = Field(
        RoutingConfig(), description="Which message goes to which topic."
    )
    topics: Annotated[TopicsConfig, About(reason="see its keys")] = Field(
        TopicsConfig(), description="How topics that do not exist are treated."
    )
    dlq: Annotated[DlqConfig, About(reason="see its keys")] = Field(
        DlqConfig(), description="What becomes of a message that can't be delivered."
    )

    retry: Annotated[RetryConfig, About(reason="see its keys")] = Field(
        RetryConfig(), description="The pauses between two attempts at what keeps the pipeline from going on."
    )

    rate_limit: Annotated[RateLimitConfig, About(reason="see its keys")] = Field(
        RateLimitConfig(), description="How fast messages may be handed over."
    )

    shards: Annotated[
        int,
        Field(ge=1, le=64),
        About(unit="shards", reason="each further one reads all messages once more", reaches="`tide.shards`"),
    ] = Field(
        1,
        description="How many parts the pipeline has, by a hash of the record's key, that relays may drive at a time.",
    )
    delivery: Annotated[
        Delivery,
        About(reason="needs nothing of the cluster, and costs nothing", reaches="transactional.id"),
    ] = Field(
        "at_least_once",
        description="`at_least_once`: a crash may repeat messages. `exactly_once`: in transactions, so that consumers"
        " that read with `isolation.level=read_committed` see each message once, whatever dies.",
    )
    transactions: Annotated[TransactionsConfig, About(reason="see its keys")] = Field(
        TransactionsConfig(), description="The transactions of a pipeline that delivers exactly once."
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        Relation(
            at="idempotent",
            when=(
                Condition(test="one_of", keys=("idempotent",), values=(True,)),
                Condition(test="one_of", keys=("acks",), values=("0", "1")),
            ),
            severity="error",
            message='idempotent true needs acks "all": choose acks "all" or idempotent false',
        ),
        *together("sasl_mechanism", "sasl_username", "sasl_password"),
        *only_with("tls_enabled", True, "tls_ca_cert", "tls_client_cert", "tls_client_key"),
        *together("tls_client_cert", "tls_client_key"),
        *WIRE_RELATIONS,
        *RELATIONS_OF_DELIVERY,
        *relations_of_schemas(),
        Relation(
            at="acks",
            when=(Condition(test="one_of", keys=("acks",), values=("0", "1")),),
            severity="warning",
            message='a message can be lost when a broker fails; acks "all" is safe',
        ),
        *_TOPIC_WARNINGS,
    )
