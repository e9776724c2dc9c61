"""Kafka's error codes, translated once into the classes of ``errors.ErrorClass``."""

from confluent_kafka import KafkaError

from pg_tide_relay.errors import ErrorClass

# Refusals that a broker pronounces over a whole produce batch: the guilty message may be a neighbour.
SIZE_REFUSALS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})

_CODES: dict[ErrorClass, frozenset[int]] = {
    ErrorClass.MESSAGE: SIZE_REFUSALS
    | {
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
    },
    ErrorClass.CONFIGURATION: frozenset(
        {
            KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
            KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
            KafkaError.INVALID_REQUIRED_ACKS,
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            KafkaError.INVALID_TRANSACTION_TIMEOUT,
            KafkaError._INVALID_ARG,
        }
    ),
    ErrorClass.DESTINATION: frozenset(
        {
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError._UNKNOWN_PARTITION,
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
        }
    ),
    ErrorClass.CLUSTER_AWAY: frozenset(
        {
            KafkaError._MSG_TIMED_OUT,
            KafkaError._TIMED_OUT,
            KafkaError._TIMED_OUT_QUEUE,
            KafkaError._TRANSPORT,
            KafkaError._ALL_BROKERS_DOWN,
            KafkaError._RESOLVE,
            KafkaError.REQUEST_TIMED_OUT,
            KafkaError.NETWORK_EXCEPTION,
            KafkaError.LEADER_NOT_AVAILABLE,
            KafkaError.NOT_LEADER_FOR_PARTITION,
            KafkaError.NOT_ENOUGH_REPLICAS,
            KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            KafkaError.KAFKA_STORAGE_ERROR,
            KafkaError.THROTTLING_QUOTA_EXCEEDED,
        }
    ),
    ErrorClass.CREDENTIALS: frozenset(
        {
            KafkaError._AUTHENTICATION,
            KafkaError._SSL,
            KafkaError.SASL_AUTHENTICATION_FAILED,
            KafkaError.UNSUPPORTED_SASL_MECHANISM,
            KafkaError.ILLEGAL_SASL_STATE,
            KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        }
    ),
    ErrorClass.FATAL_PRODUCER: frozenset(
        {
            KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
            KafkaError.UNKNOWN_PRODUCER_ID,
            KafkaError._FATAL,
            KafkaError._GAPLESS_GUARANTEE,
        }
    ),
    ErrorClass.FENCED: frozenset(
        {KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError._FENCED}
    ),
    ErrorClass.RESEND: frozenset(
        {
            KafkaError._INVALID_DIFFERENT_RECORD,
            KafkaError._PURGE_QUEUE,
            KafkaError._PURGE_INFLIGHT,
            KafkaError._QUEUE_FULL,
        }
    ),
}

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

_CLASS_OF: dict[int, ErrorClass] = {code: name for name, codes in _CODES.items() for code in codes}


def classify(error: KafkaError, *, topic_is_template: bool = False) -> ErrorClass:
    """The class of an error that the client or a broker reports.

    A code that nobody has assigned is not held against the message: brokers answer with UNKNOWN and the like
    when they are in trouble themselves, and taking that for a bad message would stop or skip good ones.
    """
    code = error.code()
    if code == KafkaError.TOPIC_EXCEPTION:
        return ErrorClass.MESSAGE if topic_is_template else ErrorClass.CONFIGURATION
    known = _CLASS_OF.get(code)
    if known is not None:
        return known
    return ErrorClass.FATAL_PRODUCER if error.fatal() else ErrorClass.CLUSTER_AWAY


def classify_creation(error: KafkaError) -> ErrorClass:
    """The class of an error that was the answer to the creation of a topic; never a message's fault."""
    return _OF_CREATION.get(error.code()) or classify(error)
