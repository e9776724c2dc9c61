"""One Kafka producer: hand records over, serve delivery reports, notice what no report tells, end it.

Handed over is not delivered: only a delivery report says so. Everything here belongs to one thread but
``look_up_topic`` and ``close``, which may wait for the cluster and are meant for a worker thread.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer, ThrottleEvent

from pg_tide_relay.encode import Record
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.kafka_errors import classify

# Alerts by which a broker refuses a client's certificate, or that it showed none (RFC 8446, 6.2). With TLS 1.3 they
# come after the handshake, so the client takes them for a connection that broke; OpenSSL's text has the number.
_TLS_ALERT = re.compile(r"SSL alert number (\d+)")
_REFUSE_CERTIFICATE = frozenset({"42", "43", "44", "45", "46", "48", "49", "116"})

OnReport = Callable[[KafkaError | None, Message], None]


class DebugLog(Protocol):
    """What the producer needs of a logger."""

    def debug(self, event: str, /, **values: object) -> object:
        """Log one event."""


@dataclass(frozen=True, kw_only=True)
class ProducerEvent:
    """Something about the producer or its connections that no delivery report carries."""

    error_class: ErrorClass
    code: str  # Kafka's name of the error
    cause: str
    fatal: bool  # this producer hands over nothing more; only ending it is left
    throttled_ms: int = 0  # how long a broker makes the producer wait, because a quota is used up


class _LibrdkafkaLog:
    """Takes librdkafka's own log lines, which go to stderr otherwise.

    What an operator has to know arrives as an event or a report as well, so the lines are for debugging.
    """

    def __init__(self, log: DebugLog) -> None:
        self._log = log

    def log(self, _level: int, message: str, *values: object) -> None:
        """The one method of a logger that the client calls."""
        self._log.debug("librdkafka", line=message % values)


class RecordProducer:
    """A producer with its events; made anew after a fatal error, never because the cluster is away."""

    def __init__(self, properties: Mapping[str, Any], log: DebugLog) -> None:
        """Start the client; KafkaException when it refuses a property. Connects in the background."""
        self.client = Producer(
            {
                **properties,
                "error_cb": self._on_error,
                "throttle_cb": self._on_throttle,
                "logger": _LibrdkafkaLog(log),
            },
        )
        """librdkafka's own, for whoever drives its transactions."""
        self._events: list[ProducerEvent] = []
        self._fatal = False
        self.produce = self.client.produce
        """The client's own method, for the loop that hands over many records."""

    @property
    def fatal(self) -> bool:
        """Whether this producer is past use."""
        return self._fatal

    def outstanding(self) -> int:
        """Messages handed over whose report was not served yet."""
        return len(self.client)

    def hand_over(self, record: Record, on_report: OnReport) -> bool:
        """Give one record to the client; False when its queue is full: poll, then the same record again.

        KafkaException when the client refuses it at once; then nothing was handed over.
        """
        topic, key, value, headers, timestamp_ms, _ = record
        try:
            self.produce(topic, value, key, -1, on_report, None, timestamp_ms, headers)
        except BufferError:
            return False
        return True

    def poll(self, timeout_s: float) -> None:
        """Serve reports and events, waiting at most this long for the first."""
        try:
            self.client.poll(timeout_s)
        except KafkaException as raised:
            # A fatal error is raised here instead of going to error_cb; reports follow with later polls.
            self._on_error(raised.args[0])

    def take_events(self) -> list[ProducerEvent]:
        """Events since the last call, each kind once however often it came."""
        events, self._events = self._events, []
        return events

    def purge_queue(self) -> None:
        """Take back what was not sent yet, in a producer that is past use.

        Without this the messages behind a fatal error wait for ever: they are neither sent nor reported.
        """
        self.client.purge(in_queue=True, in_flight=False, blocking=False)

    def purge(self) -> None:
        """Take back everything without waiting for answers. Fatal to this producer; its end must follow."""
        self._fatal = True
        self.client.purge(in_queue=True, in_flight=True, blocking=False)

    def note_fatal(self, error: KafkaError) -> None:
        """The client refused a record because it is past use."""
        self._note(error, fatal=True)

    def look_up_topic(self, topic: str, timeout_s: float) -> int:
        """The number of partitions of a topic; blocks. KafkaException says why there is none.

        Where the configuration allows it, asking makes the broker create the topic.
        """
        found = self.client.list_topics(topic, timeout=timeout_s).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return len(found.partitions)

    def close(self) -> None:
        """Close the connections and wait for the client's threads; call when nothing is outstanding."""
        self.client.close()

    def _on_error(self, error: KafkaError) -> None:
        self._note(error, fatal=error.fatal())

    def _on_throttle(self, event: ThrottleEvent) -> None:
        """The client keeps to it by itself; told so that somebody knows. Also called when it is over: with 0."""
        throttled_ms = round(event.throttle_time * 1000)
        if throttled_ms <= max((seen.throttled_ms for seen in self._events), default=0):
            return
        self._events = [seen for seen in self._events if not seen.throttled_ms]
        self._events.append(
            ProducerEvent(
                error_class=ErrorClass.CLUSTER_AWAY,
                code=KafkaError(KafkaError.THROTTLING_QUOTA_EXCEEDED).name(),
                cause=f"broker {event.broker_name} makes the producer wait",
                fatal=False,
                throttled_ms=throttled_ms,
            )
        )

    def _note(self, error: KafkaError, *, fatal: bool) -> None:
        self._fatal = self._fatal or fatal
        error_class, code = classify(error), error.name()
        if refuses_certificate(error):
            error_class, code = ErrorClass.CREDENTIALS, "_SSL"
        event = ProducerEvent(error_class=error_class, code=code, cause=error.str(), fatal=fatal)
        if not any((seen.code, seen.fatal) == (event.code, event.fatal) for seen in self._events):
            self._events.append(event)


class _Gone:
    """What is left of a client."""

    def __len__(self) -> int:
        return 0

    def poll(self, timeout_s: float) -> None:
        """Serve nothing."""

    def purge(self, **which: bool) -> None:
        """Take nothing back."""


class TransactionalProducer(RecordProducer):
    """One whose end asks nobody: the client's own would first abort the transaction, however long that takes.

    Whoever has the transactional id next does that, or the cluster when the transaction's time is over.
    """

    def close(self) -> None:
        """Close the connections and wait for the client's threads."""
        gone = cast(Any, _Gone())
        # The last two references: letting go of them ends the client, here and now.
        self.client = self.produce = gone


def refuses_certificate(error: KafkaError) -> bool:
    """Whether a broker ended the connection because of the certificate that the client showed, or did not show."""
    if error.code() != KafkaError._TRANSPORT:
        return False
    alert = _TLS_ALERT.search(error.str())
    return alert is not None and alert[1] in _REFUSE_CERTIFICATE
