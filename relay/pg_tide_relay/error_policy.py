"""What is done about each class of error, and what the operator is told to do."""

from enum import StrEnum

from pg_tide_relay.errors import ErrorClass


class StateName(StrEnum):
    """What the delivery of one pipeline is doing."""

    RUNNING = "running"
    BACKING_OFF = "backing_off"
    """Something is missing that is expected to come back; tried again without end."""
    ERROR = "error"
    """Somebody has to change something; tried again slowly, goes on by itself once it is right."""
    STOPPED = "stopped"
    """Goes no further: going further would skip a message."""
    ENDED = "ended"
    """Hands over nothing more: closed, its lease lost, or taken over."""


_STATES: dict[ErrorClass, StateName] = {
    ErrorClass.MESSAGE: StateName.STOPPED,
    ErrorClass.DESTINATION: StateName.BACKING_OFF,
    ErrorClass.CLUSTER_AWAY: StateName.BACKING_OFF,
    ErrorClass.CREDENTIALS: StateName.ERROR,
    ErrorClass.CONFIGURATION: StateName.ERROR,
    ErrorClass.FATAL_PRODUCER: StateName.BACKING_OFF,
    ErrorClass.FENCED: StateName.ENDED,
    ErrorClass.RESEND: StateName.BACKING_OFF,
}

# One sentence for the operator per class.
_CURES: dict[ErrorClass, str] = {
    ErrorClass.MESSAGE: "Nothing behind this message is sent until it can be delivered.",
    ErrorClass.DESTINATION: "Create the topic or grant WRITE and DESCRIBE on it; delivery goes on by itself.",
    ErrorClass.CLUSTER_AWAY: "Nothing is lost: delivery goes on by itself when the brokers answer again.",
    ErrorClass.CREDENTIALS: "Correct the pipeline's SASL or TLS keys, or its user's rights in the cluster.",
    ErrorClass.CONFIGURATION: "Correct the pipeline's configuration with tide.relay_set_outbox.",
    ErrorClass.FATAL_PRODUCER: "A new producer takes over from the last settled message; nothing to do.",
    ErrorClass.FENCED: "Another relay drives this pipeline; this one leaves it alone.",
    ErrorClass.RESEND: "Sent again; nothing to do.",
}

_REACH = (
    "Check addresses and ports in brokers, the network, and that tls_enabled and sasl_mechanism are what the"
    " brokers' listeners ask for; nothing is lost, it goes on by itself when they answer."
)

# Where the error's own name tells more than its class.
_CURES_BY_CODE: dict[str, str] = {
    "MSG_SIZE_TOO_LARGE": "Raise the topic's max.message.bytes above the size of the message.",
    "RECORD_LIST_TOO_LARGE": "Raise the topic's segment.bytes above the size of the message.",
    "INVALID_RECORD": "The topic refuses such records; a compacted topic needs a key: see message_key.",
    "INVALID_MSG": "The topic refuses such records; a compacted topic needs a key: see message_key.",
    "INVALID_TIMESTAMP": "Widen the topic's message.timestamp.before.max.ms and .after.max.ms.",
    "POLICY_VIOLATION": "A policy of the cluster refuses the record; ask its administrators which.",
    "UNKNOWN_TOPIC_OR_PART": "Create the topic; delivery goes on by itself.",
    "_UNKNOWN_TOPIC": "Create the topic; delivery goes on by itself.",
    "TOPIC_AUTHORIZATION_FAILED": "Grant the user WRITE and DESCRIBE on the topic; it goes on by itself.",
    "CLUSTER_AUTHORIZATION_FAILED": "Grant the user IDEMPOTENT_WRITE on the cluster or WRITE on a topic,"
    " or set idempotent to false.",
    "UNSUPPORTED_COMPRESSION_TYPE": "Choose a compression that the brokers know.",
    "_AUTHENTICATION": "Correct sasl_mechanism, sasl_username and sasl_password with tide.relay_set_outbox, or the"
    " user's password in the cluster; a variable that was changed is read when the relay is started again.",
    "_SSL": "Set tls_ca_cert to the authority that signed the brokers' certificates, and where they ask for one,"
    " tls_client_cert and tls_client_key to a certificate that they accept.",
    "_TRANSPORT": _REACH,
    "_ALL_BROKERS_DOWN": _REACH,
    "_RESOLVE": "Check the host names in brokers, and the names the brokers advertise.",
}

# The same for a topic that the relay could not create.
_CURES_OF_CREATION: dict[str, str] = {
    "INVALID_REPLICATION_FACTOR": "Set topics.replication to no more copies than the cluster has brokers.",
    "INVALID_PARTITIONS": "Set topics.partitions to a number that the cluster allows.",
    "INVALID_CONFIG": "Correct topics.configs: the cluster knows no such setting, or refuses its value.",
    "POLICY_VIOLATION": "A policy of the cluster refuses the topic; adapt topics.partitions, topics.replication"
    " and topics.configs to it, or let its administrators create the topic.",
}


def state_for(error_class: ErrorClass) -> StateName:
    """The state an error of this class leads to."""
    return _STATES[error_class]


def cure_for(error_class: ErrorClass, code: str | None) -> str:
    """What the operator can do, in one sentence."""
    return _CURES_BY_CODE.get(code or "") or _CURES[error_class]


def cure_for_creation(error_class: ErrorClass, code: str) -> str:
    """What the operator can do about a topic that the relay could not create, in one sentence."""
    if error_class is ErrorClass.DESTINATION:
        return "Grant the user CREATE on the topic or the cluster, or create the topic; it goes on by itself."
    return _CURES_OF_CREATION.get(code) or _CURES[error_class]
