"""Kafka's error codes, translated once into the classes of ``errors.ErrorClass``: a table, and two lookups in it.

What the codes mean is Kafka's protocol (``org.apache.kafka.common.protocol.Errors``) and librdkafka's
``rd_kafka_resp_err_t``; negative codes are librdkafka's own.
"""

from typing import Final, NamedTuple

from confluent_kafka import KafkaError

from pg_tide_relay.errors import ErrorClass

# Refusals that a broker pronounces over a whole produce batch: the guilty message may be a neighbour.
SIZE_REFUSALS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Meaning(NamedTuple):
    """Codes that mean the same."""

    error_class: ErrorClass
    codes: tuple[int, ...]
    cure: str | None = None
    """What the operator can do, one sentence; None: what the class says is all there is to say."""


MEANINGS: Final[tuple[Meaning, ...]] = (
    # The message itself. Final only after it was refused alone in its produce batch.
    Meaning(
        ErrorClass.MESSAGE,
        (
            KafkaError.MSG_SIZE_TOO_LARGE,
            KafkaError.INVALID_MSG_SIZE,
        ),
        "Raise the topic's max.message.bytes above the size of the message.",
    ),
    Meaning(
        ErrorClass.MESSAGE,
        (KafkaError.RECORD_LIST_TOO_LARGE,),
        "Raise the topic's segment.bytes above the size of the message.",
    ),
    Meaning(
        ErrorClass.MESSAGE,
        (
            KafkaError.INVALID_RECORD,
            KafkaError.INVALID_MSG,
        ),
        "The topic refuses such records; a compacted topic needs a key: see message_key.",
    ),
    Meaning(
        ErrorClass.MESSAGE,
        (KafkaError.INVALID_TIMESTAMP,),
        "Widen the topic's message.timestamp.before.max.ms and .after.max.ms.",
    ),
    Meaning(
        ErrorClass.MESSAGE,
        (KafkaError.POLICY_VIOLATION,),
        "A policy of the cluster refuses the record; ask its administrators which.",
    ),
    # The topic.
    Meaning(
        ErrorClass.DESTINATION,
        (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
        ),
        "Create the topic; delivery goes on by itself.",
    ),
    Meaning(
        ErrorClass.DESTINATION,
        (
            KafkaError._UNKNOWN_PARTITION,
            KafkaError.UNKNOWN_TOPIC_ID,
            KafkaError.INCONSISTENT_TOPIC_ID,
        ),
        "The topic was deleted, made anew or given other partitions; once it is there, delivery goes on by itself.",
    ),
    Meaning(
        ErrorClass.DESTINATION,
        (KafkaError.TOPIC_AUTHORIZATION_FAILED,),
        "Grant the user WRITE and DESCRIBE on the topic; it goes on by itself.",
    ),
    # Nobody answers, or those who answer are in trouble themselves.
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (
            KafkaError._MSG_TIMED_OUT,
            KafkaError._TIMED_OUT,
            KafkaError._TIMED_OUT_QUEUE,
            KafkaError._FAIL,
            KafkaError._UNKNOWN_BROKER,
            KafkaError._NODE_UPDATE,
            KafkaError._DESTROY_BROKER,
            KafkaError._WAIT_CACHE,
            KafkaError._WAIT_COORD,
            KafkaError._OUTDATED,
            KafkaError._INTR,
            KafkaError._RETRY,
            KafkaError._IN_PROGRESS,
            KafkaError._PREV_IN_PROGRESS,
            KafkaError.REQUEST_TIMED_OUT,
            KafkaError.NETWORK_EXCEPTION,
            KafkaError.BROKER_NOT_AVAILABLE,
            KafkaError.LEADER_NOT_AVAILABLE,
            KafkaError.REPLICA_NOT_AVAILABLE,
            KafkaError.NOT_LEADER_FOR_PARTITION,
            KafkaError.NOT_CONTROLLER,
            KafkaError.STALE_CTRL_EPOCH,
            KafkaError.STALE_BROKER_EPOCH,
            KafkaError.FENCED_LEADER_EPOCH,
            KafkaError.UNKNOWN_LEADER_EPOCH,
            KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
            KafkaError.PREFERRED_LEADER_NOT_AVAILABLE,
            KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
            KafkaError.COORDINATOR_NOT_AVAILABLE,
            KafkaError.NOT_COORDINATOR,
            KafkaError.TRANSACTION_COORDINATOR_FENCED,
            KafkaError.CONCURRENT_TRANSACTIONS,
            KafkaError.REBOOTSTRAP_REQUIRED,
        ),
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN),
        "Check addresses and ports in brokers, the network, and that tls_enabled and sasl_mechanism are what the"
        " brokers' listeners ask for; nothing is lost, it goes on by itself when they answer.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (KafkaError._RESOLVE,),
        "Check the host names in brokers, and the names the brokers advertise.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (
            KafkaError.NOT_ENOUGH_REPLICAS,
            KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            KafkaError._ISR_INSUFF,
        ),
        "Start the brokers that are missing, or lower the topic's min.insync.replicas; delivery goes on by itself.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (
            KafkaError.KAFKA_STORAGE_ERROR,
            KafkaError.LOG_DIR_NOT_FOUND,
        ),
        "A broker can't write to its disk; delivery goes on by itself once it can.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (KafkaError.THROTTLING_QUOTA_EXCEEDED,),
        "The cluster's quota is used up; delivery goes on by itself, faster with a larger quota.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (KafkaError.LISTENER_NOT_FOUND,),
        "The brokers do not all have the listener that brokers names; correct their advertised.listeners.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (KafkaError._CRIT_SYS_RESOURCE,),
        "The relay's machine is out of memory, threads or file handles; delivery goes on by itself once it has some.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (
            KafkaError._BAD_MSG,
            KafkaError._BAD_COMPRESSION,
            KafkaError._PARTIAL,
            KafkaError._UNDERFLOW,
        ),
        "What answers is no broker, or an answer was damaged: check the ports in brokers, and whether they want TLS.",
    ),
    Meaning(
        ErrorClass.CLUSTER_AWAY,
        (
            KafkaError.UNKNOWN,
            KafkaError.UNKNOWN_CONTROLLER_ID,
            KafkaError.PRINCIPAL_DESERIALIZATION_FAILURE,
        ),
        "The broker failed and names no reason: its log does; delivery goes on by itself.",
    ),
    # The cluster answers, and refuses us.
    Meaning(
        ErrorClass.CREDENTIALS,
        (
            KafkaError.ILLEGAL_SASL_STATE,
            KafkaError.DELEGATION_TOKEN_NOT_FOUND,
            KafkaError.DELEGATION_TOKEN_EXPIRED,
            KafkaError.DELEGATION_TOKEN_AUTH_DISABLED,
        ),
        "Correct sasl_username and sasl_password; it goes on by itself.",
    ),
    Meaning(
        ErrorClass.CREDENTIALS,
        (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED),
        "Correct sasl_mechanism, sasl_username and sasl_password with tide.relay_set_outbox, or the user's password in"
        " the cluster; a variable that was changed is read when the relay is started again.",
    ),
    Meaning(
        ErrorClass.CREDENTIALS,
        (KafkaError.UNSUPPORTED_SASL_MECHANISM,),
        "Choose a sasl_mechanism that the brokers' listener has.",
    ),
    Meaning(
        ErrorClass.CREDENTIALS,
        (KafkaError._SSL,),
        "Set tls_ca_cert to the authority that signed the brokers' certificates, and where they ask for one,"
        " tls_client_cert and tls_client_key to a certificate that they accept.",
    ),
    Meaning(
        ErrorClass.CREDENTIALS,
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED,),
        "Grant the user IDEMPOTENT_WRITE on the cluster or WRITE on a topic, or set idempotent to false.",
    ),
    # A setting.
    Meaning(
        ErrorClass.CONFIGURATION,
        (KafkaError.UNSUPPORTED_COMPRESSION_TYPE,),
        "Choose a compression that the brokers know.",
    ),
    Meaning(
        ErrorClass.CONFIGURATION,
        (
            KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
            KafkaError.UNSUPPORTED_VERSION,
            KafkaError._UNSUPPORTED_FEATURE,
            KafkaError._UNKNOWN_PROTOCOL,
            KafkaError.UNSUPPORTED_ENDPOINT_TYPE,
            KafkaError.MISMATCHED_ENDPOINT_TYPE,
        ),
        "These brokers can't do what is asked of them: use brokers of a newer release, and their address for clients.",
    ),
    Meaning(
        ErrorClass.CONFIGURATION,
        (KafkaError.SECURITY_DISABLED,),
        "The brokers have no security; leave out the pipeline's SASL and TLS keys.",
    ),
    Meaning(
        ErrorClass.CONFIGURATION,
        (KafkaError._FS,),
        "Make the files that tls_ca_cert, tls_client_cert and tls_client_key name readable to the relay.",
    ),
    Meaning(
        ErrorClass.CONFIGURATION,
        (
            KafkaError.INVALID_REQUIRED_ACKS,
            KafkaError.INVALID_CONFIG,
            KafkaError.INVALID_REQUEST,
            KafkaError._INVALID_ARG,
            KafkaError._INVALID_TYPE,
            KafkaError._NOT_CONFIGURED,
            KafkaError._NOT_IMPLEMENTED,
        ),
    ),
    Meaning(
        ErrorClass.CONFIGURATION,
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,),
        "Grant the user WRITE and DESCRIBE on the pipeline's transactional id; it goes on by itself.",
    ),
    Meaning(
        ErrorClass.CONFIGURATION,
        (KafkaError.INVALID_TRANSACTION_TIMEOUT,),
        "Raise the brokers' transaction.max.timeout.ms.",
    ),
    # Of a topic that the relay creates; as an answer to a record they would be a setting, too.
    Meaning(
        ErrorClass.CONFIGURATION,
        (
            KafkaError.INVALID_PARTITIONS,
            KafkaError.INVALID_REPLICATION_FACTOR,
        ),
        "Set topics.partitions and topics.replication to numbers that the cluster allows.",
    ),
    # The producer is past use.
    Meaning(
        ErrorClass.FATAL_PRODUCER,
        (
            KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
            KafkaError.DUPLICATE_SEQUENCE_NUMBER,
            KafkaError.UNKNOWN_PRODUCER_ID,
            KafkaError.INVALID_PRODUCER_ID_MAPPING,
            KafkaError.INVALID_TXN_STATE,
            KafkaError.TRANSACTION_ABORTABLE,
            KafkaError._FATAL,
            KafkaError._GAPLESS_GUARANTEE,
            KafkaError._INCONSISTENT,
            KafkaError._STATE,
            KafkaError._CONFLICT,
        ),
    ),
    Meaning(
        ErrorClass.FENCED,
        (
            KafkaError.PRODUCER_FENCED,
            KafkaError.INVALID_PRODUCER_EPOCH,
            KafkaError._FENCED,
        ),
    ),
    # Nothing is wrong with the message. INVALID_DIFFERENT_RECORD: a neighbour in its produce batch was refused.
    Meaning(
        ErrorClass.RESEND,
        (
            KafkaError._INVALID_DIFFERENT_RECORD,
            KafkaError._PURGE_QUEUE,
            KafkaError._PURGE_INFLIGHT,
            KafkaError._QUEUE_FULL,
            KafkaError._DESTROY,
            KafkaError.OPERATION_NOT_ATTEMPTED,
        ),
    ),
)

DEFAULT: Final = ErrorClass.CLUSTER_AWAY
"""Of a code that the table does not have. It is not held against the message: a broker in trouble answers with
whatever it has, and taking that for a bad message would stop or skip good ones."""

DEFAULT_FATAL: Final = ErrorClass.FATAL_PRODUCER
"""The same, where the client says that it is past use."""

ELSEWHERE: Final = frozenset(
    {
        "NO_ERROR", "TOPIC_EXCEPTION",  # no error; a row of its own in ``classify``
        # Consumers, their groups and what they fetch.
        "OFFSET_OUT_OF_RANGE", "OFFSET_METADATA_TOO_LARGE", "OFFSET_NOT_AVAILABLE", "UNSTABLE_OFFSET_COMMIT",
        "INVALID_COMMIT_OFFSET_SIZE", "ILLEGAL_GENERATION", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID",
        "UNKNOWN_MEMBER_ID", "INVALID_SESSION_TIMEOUT", "REBALANCE_IN_PROGRESS", "GROUP_AUTHORIZATION_FAILED",
        "NON_EMPTY_GROUP", "GROUP_ID_NOT_FOUND", "MEMBER_ID_REQUIRED", "GROUP_MAX_SIZE_REACHED",
        "FENCED_INSTANCE_ID", "GROUP_SUBSCRIBED_TO_TOPIC", "FENCED_MEMBER_EPOCH", "UNRELEASED_INSTANCE_ID",
        "UNSUPPORTED_ASSIGNOR", "STALE_MEMBER_EPOCH", "INVALID_REGULAR_EXPRESSION", "FETCH_SESSION_ID_NOT_FOUND",
        "INVALID_FETCH_SESSION_EPOCH", "INVALID_RECORD_STATE", "SHARE_SESSION_NOT_FOUND",
        "INVALID_SHARE_SESSION_EPOCH", "FENCED_STATE_EPOCH", "SHARE_SESSION_LIMIT_REACHED",
        "STREAMS_INVALID_TOPOLOGY", "STREAMS_INVALID_TOPOLOGY_EPOCH", "STREAMS_TOPOLOGY_FENCED",
        "_PARTITION_EOF", "_EXISTING_SUBSCRIPTION", "_ASSIGN_PARTITIONS", "_REVOKE_PARTITIONS", "_NO_OFFSET",
        "_UNKNOWN_GROUP", "_MAX_POLL_EXCEEDED", "_ASSIGNMENT_LOST", "_AUTO_OFFSET_RESET", "_LOG_TRUNCATION",
        "_KEY_DESERIALIZATION", "_VALUE_DESERIALIZATION",
        # Administration, controllers and tokens.
        "TOPIC_ALREADY_EXISTS", "INVALID_REPLICA_ASSIGNMENT", "REASSIGNMENT_IN_PROGRESS",
        "NO_REASSIGNMENT_IN_PROGRESS", "TOPIC_DELETION_DISABLED", "ELECTION_NOT_NEEDED", "RESOURCE_NOT_FOUND",
        "DUPLICATE_RESOURCE", "UNACCEPTABLE_CREDENTIAL", "INCONSISTENT_VOTER_SET", "INVALID_UPDATE_VERSION",
        "FEATURE_UPDATE_FAILED", "INVALID_REGISTRATION", "INVALID_VOTER_KEY", "DUPLICATE_VOTER", "VOTER_NOT_FOUND",
        "DELEGATION_TOKEN_OWNER_MISMATCH", "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
        "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "INVALID_PRINCIPAL_TYPE", "UNKNOWN_SUBSCRIPTION_ID",
        "TELEMETRY_TOO_LARGE",
        # Results of calls that the relay does not make.
        "_APPLICATION", "_NOENT", "_NOOP", "_READ_ONLY", "_KEY_SERIALIZATION", "_VALUE_SERIALIZATION",
    }
)  # fmt: skip
"""Names of codes that are no answer to producing, metadata or transactions. If one comes, it has the default."""

# What a cluster says of a topic that it does not create. The rest means what it always means.
_OF_CREATION: dict[int, ErrorClass] = {
    **dict.fromkeys(
        (
            KafkaError.INVALID_PARTITIONS,
            KafkaError.INVALID_REPLICATION_FACTOR,
            KafkaError.INVALID_CONFIG,
            KafkaError.INVALID_REQUEST,
            KafkaError.POLICY_VIOLATION,
            KafkaError.TOPIC_EXCEPTION,
            KafkaError.UNSUPPORTED_VERSION,
            KafkaError._UNSUPPORTED_FEATURE,
        ),
        ErrorClass.CONFIGURATION,
    ),
    KafkaError.TOPIC_AUTHORIZATION_FAILED: ErrorClass.DESTINATION,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: ErrorClass.DESTINATION,
}

_CLASS_OF: dict[int, ErrorClass] = {
    code: meaning.error_class for meaning in MEANINGS for code in meaning.codes
}

CURES: Final[dict[str, str]] = {
    KafkaError(code).name(): meaning.cure for meaning in MEANINGS if meaning.cure for code in meaning.codes
}
"""By Kafka's name of the error, where it tells more than its class."""


def classify(error: KafkaError, *, topic_is_template: bool = False) -> ErrorClass:
    """The class of an error that the client or a broker reports."""
    code = error.code()
    if code == KafkaError.TOPIC_EXCEPTION:  # an illegal name
        return ErrorClass.MESSAGE if topic_is_template else ErrorClass.CONFIGURATION
    return _CLASS_OF.get(code) or (DEFAULT_FATAL if error.fatal() else DEFAULT)


def classify_creation(error: KafkaError) -> ErrorClass:
    """The class of an error that was the answer to the creation of a topic; never a message's fault."""
    return _OF_CREATION.get(error.code()) or classify(error)
