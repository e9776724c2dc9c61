"""What can go wrong while a message is on its way, and the exceptions that say so.

    TideError
    ├── MessageError         this message can't be delivered, whatever is done about the rest
    ├── ConfigurationError   this pipeline can't run as it is configured
    └── RegistryError        the schema registry does not give what records need

What each class of error leads to stands in ``error_policy``; Kafka's codes are translated in
``kafka_errors``, a schema registry's answers in ``registry_errors``.
"""

from enum import StrEnum


class ErrorClass(StrEnum):
    """Whose fault an error is; decides who waits, who stops and who is told."""

    MESSAGE = "message"
    """The message itself is refused. Final only after it was refused alone."""
    DESTINATION = "destination"
    """The topic is missing or may not be written."""
    CLUSTER_AWAY = "cluster_away"
    """Nobody answers, or not enough replicas do. Never the fault of a message."""
    CREDENTIALS = "credentials"
    """The cluster answers and refuses us."""
    CONFIGURATION = "configuration"
    """A setting of the pipeline is refused by the client or by the broker."""
    FATAL_PRODUCER = "fatal_producer"
    """The producer can't go on; a new one can."""
    FENCED = "fenced"
    """Somebody else has taken over; going on would fence them in turn."""
    RESEND = "resend"
    """Nothing is wrong with the message: a neighbour was refused, or it was taken back. Never a state."""


class TideError(Exception):
    """Base of all errors of the relay; ``error_class`` decides what is done."""

    error_class: ErrorClass


class MessageError(TideError):
    """This message can't be delivered."""

    error_class = ErrorClass.MESSAGE

    def __init__(
        self, message_id: int, cause: str, *, code: str | None = None, topic: str | None = None
    ) -> None:
        """Name the message, the cause in words, and where known Kafka's name of the error and the topic."""
        super().__init__(f"message {message_id}: {cause}")
        self.message_id = message_id
        self.cause = cause
        self.code = code
        self.topic = topic


class ConfigurationError(TideError):
    """This pipeline can't run as it is configured."""

    error_class = ErrorClass.CONFIGURATION

    def __init__(self, key: str, cause: str) -> None:
        """Name the configuration key and the cause in words; the value may be a secret and is not named."""
        super().__init__(f"{key}: {cause}")
        self.key = key
        self.cause = cause


class RegistryError(TideError):
    """The schema registry does not give what records need; never the fault of a message."""

    def __init__(self, error_class: ErrorClass, code: str, cause: str, cure: str) -> None:
        """Whose fault it is, its name in the pipeline's state, the cause in words and what to do."""
        super().__init__(cause)
        self.error_class = error_class
        self.code = code
        self.cause = cause
        self.cure = cure
