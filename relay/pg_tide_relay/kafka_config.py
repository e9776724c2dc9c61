"""From a pipeline's configuration to the properties of librdkafka; each property with its reason.

Order per key and "nothing lost" depend on these. Change none without reading the decision that goes with it.
"""

from collections.abc import Mapping
from typing import Any

from pg_tide_relay.config.models import PipelineConfig

# Copies of messages that librdkafka may hold; its default is 1 GiB. Reached only while the cluster is slower
# than the relay: then produce refuses and the relay waits.
QUEUE_KBYTES = 32 * 1024

# Largest produce batch, in bytes. Below a topic's default max.message.bytes of 1,048,588.
BATCH_BYTES = 1_000_000
# A produce batch is refused as a whole; smaller batches cost round trips, so this is where shrinking ends.
BATCH_BYTES_MIN = 16_384

# The broker decides what is too large for a topic, not a default of the client.
_MESSAGE_BYTES_MAX = 256 * 1024 * 1024

# How long librdkafka goes on asking for a topic that was there a moment ago, before it calls it unknown.
_TOPIC_PROPAGATION_MS = 10_000

# How soon a cluster that is back is noticed, and how slowly refused credentials are tried again.
_RECONNECT_MS_MAX = 3_000

# What a consumer holds of records that were not looked at yet; its default is 64 MiB.
_READ_AHEAD_KBYTES = 16 * 1024

_FETCH_WAIT_MS = 50

_SOCKET_TIMEOUT_MS = 60_000
_SOCKET_TIMEOUT_MS_MAX = 300_000

_LOG_WARNINGS = 4
_LOG_NOTHING = 0

_SECRET = frozenset({"sasl.password"})


def producer_properties(config: PipelineConfig, pipeline: str, *, guarded: bool = True) -> dict[str, Any]:
    """The properties of a pipeline's producer.

    ``guarded=False`` is the way out where the cluster refuses an idempotent producer and the configuration
    does not insist: one request in flight, as with acks 0 and 1.
    """
    return {
        **_connection(config, pipeline),
        "log_level": _LOG_WARNINGS,
        **_order(config, guarded=guarded),
        **_batches(config),
        "request.timeout.ms": config.request_timeout_ms,
        # Unlimited. A message that times out may have been written all the same, later ones of its key too:
        # the relay notices an absent cluster by itself and waits with the same producer.
        "message.timeout.ms": 0,
        # Where Java's producers put a key, so that consumers can join topics by partition.
        "partitioner": "murmur2_random",
        "allow.auto.create.topics": config.topics.policy == "broker",
        "topic.metadata.propagation.max.ms": _TOPIC_PROPAGATION_MS,
    }


def transactional_properties(config: PipelineConfig, transactional_id: str) -> dict[str, Any]:
    """What is different where a producer's records are in transactions.

    No gapless guarantee: a refused record ends its transaction, and nothing of that is ever read. And a record may
    time out, because it is taken back then; librdkafka allows nothing that lasts longer than the transaction.
    """
    longest_ms = config.transactions.timeout_ms
    return {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": longest_ms,
        "message.timeout.ms": longest_ms,
        "request.timeout.ms": min(config.request_timeout_ms, longest_ms),
        "socket.timeout.ms": min(_socket_timeout_ms(config.request_timeout_ms), longest_ms),
        "enable.gapless.guarantee": False,
    }


def admin_properties(config: PipelineConfig, pipeline: str) -> dict[str, Any]:
    """The properties of a client that looks for topics and creates them: a producer's way to the cluster."""
    return {
        **_connection(config, pipeline),
        # Its errors are answers to its questions.
        "log_level": _LOG_NOTHING,
        # Looking for a topic must not make the broker create it.
        "allow.auto.create.topics": False,
    }


def consumer_properties(config: PipelineConfig, pipeline: str) -> dict[str, Any]:
    """The properties of a client that reads topics and leaves no trace: it commits nothing and joins no group."""
    return {
        **_connection(config, pipeline),
        # Its errors are answers to its questions.
        "log_level": _LOG_NOTHING,
        "allow.auto.create.topics": False,
        # Asked for by the client; no offset is ever kept under it.
        "group.id": f"pg-tide-verify-{pipeline}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        # What a transaction took back was never sent.
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": _READ_AHEAD_KBYTES,
        # Questions wait behind a request for records that are not there yet.
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
    }


def is_guarded(config: PipelineConfig) -> bool:
    """Whether the producer may keep several requests in flight without endangering the order of a key."""
    return config.acks == "all"


def redacted(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The same properties for a log: no secret, no function."""
    return {
        key: "***" if key in _SECRET else value for key, value in properties.items() if not callable(value)
    }


def _connection(config: PipelineConfig, pipeline: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": config.brokers,
        "client.id": f"pg-tide-{pipeline}",
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": _RECONNECT_MS_MAX,
        "socket.timeout.ms": _socket_timeout_ms(config.request_timeout_ms),
        **_security(config),
    }


def _order(config: PipelineConfig, *, guarded: bool) -> dict[str, Any]:
    """Idempotence with acks=all, always: order per key does not survive one retried request without it.

    The gapless guarantee makes the first refused batch fatal, so that nothing handed over behind it is
    written before it. Neither exists with acks 0 and 1: there one request is in flight at a time.
    """
    if guarded and is_guarded(config):
        return {
            "acks": config.acks,
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "max.in.flight.requests.per.connection": 5,
        }
    return {
        "acks": config.acks,
        "enable.idempotence": False,
        "max.in.flight.requests.per.connection": 1,
    }


def _batches(config: PipelineConfig) -> dict[str, Any]:
    return {
        "batch.num.messages": config.batch_size,
        "batch.size": BATCH_BYTES,
        "message.max.bytes": _MESSAGE_BYTES_MAX,
        "linger.ms": config.linger_ms,
        "compression.type": config.compression,
        "queue.buffering.max.kbytes": QUEUE_KBYTES,
        "queue.buffering.max.messages": 0,  # bounded by bytes, not by number
    }


def _security(config: PipelineConfig) -> dict[str, Any]:
    protocol = {
        (False, False): "plaintext",
        (True, False): "ssl",
        (False, True): "sasl_plaintext",
        (True, True): "sasl_ssl",
    }[config.tls_enabled, config.sasl_mechanism is not None]
    password = config.sasl_password
    given = {
        "sasl.mechanism": config.sasl_mechanism,
        "sasl.username": config.sasl_username,
        "sasl.password": None if password is None else password.get_secret_value(),
        "ssl.ca.location": config.tls_ca_cert,
        "ssl.certificate.location": config.tls_client_cert,
        "ssl.key.location": config.tls_client_key,
    }
    return {
        "security.protocol": protocol,
        **{key: value for key, value in given.items() if value is not None},
    }


def _socket_timeout_ms(request_timeout_ms: int) -> int:
    """A connection must not be given up before the broker was allowed to answer."""
    return min(max(_SOCKET_TIMEOUT_MS, request_timeout_ms + 1_000), _SOCKET_TIMEOUT_MS_MAX)
