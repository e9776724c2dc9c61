"""The state of one pipeline's delivery, as operators see it, and the one log line per change of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from pg_tide_relay.error_policy import StateName, cure_for, state_for
from pg_tide_relay.errors import ErrorClass, MessageError


class Log(Protocol):
    """What delivery needs of a logger: an event and facts about it."""

    def debug(self, event: str, /, **fields: object) -> object:
        """Say what only a developer wants to know."""

    def info(self, event: str, /, **fields: object) -> object:
        """Say what changed."""

    def warning(self, event: str, /, **fields: object) -> object:
        """Say what somebody should look at."""


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Why delivery does not go on as it should."""

    error_class: ErrorClass
    cause: str  # in words, as the client or the broker gave it
    code: str | None = None  # Kafka's name of the error, or ours of a registry's
    topic: str | None = None
    message_id: int | None = None
    cure: str | None = None  # where it is another than that of class and code
    of_registry: bool = False  # the schema registry's, not the cluster's
    attempts: int | None = None  # that failed so far; None: no attempts with pauses between them
    pause_s: float | None = None  # until the next one


def trouble_of(bad: MessageError) -> Trouble:
    """A message that can't be delivered."""
    return Trouble(
        error_class=bad.error_class,
        cause=bad.cause,
        code=bad.code,
        topic=bad.topic,
        message_id=bad.message_id,
    )


@dataclass(frozen=True, kw_only=True)
class DeliveryState:
    """What a pipeline's delivery is doing, and why."""

    name: StateName
    since: datetime  # UTC; when it came about
    error_class: ErrorClass | None = None
    code: str | None = None  # Kafka's name of the error, or ours of a registry's
    cause: str | None = None  # in words
    cure: str | None = None  # what the operator can do, one sentence
    topic: str | None = None
    message_id: int | None = None
    attempts: int | None = None  # that failed so far; None: no attempts with pauses between them
    next_attempt_at: datetime | None = None  # UTC
    throttled_ms: int | None = None  # the longest a quota made it wait, of late; beside what else there is


def _utc_now() -> datetime:
    return datetime.now(UTC)


_CURE_THROTTLED: Final = (
    "Nothing is lost; for more, raise the cluster's quota of the relay's user or of its client.id,"
    " which is pg-tide- and the pipeline's name."
)


class Status:
    """Keeps the state and says each change once.

    The same trouble with another wording, or after one more attempt, is no change: a broker's text names
    connections and times. STOPPED and ENDED are last: nothing leads out of them.
    """

    def __init__(self, log: Log, now: Callable[[], datetime] = _utc_now) -> None:
        self._log = log
        self._now = now
        self._state = DeliveryState(name=StateName.RUNNING, since=now())

    @property
    def state(self) -> DeliveryState:
        """The state now."""
        return self._state

    @property
    def is_last(self) -> bool:
        """Whether nothing leads out of this state."""
        return self._state.name in (StateName.STOPPED, StateName.ENDED)

    def running(self) -> None:
        """All is well again."""
        if self._state.name is not StateName.RUNNING and not self.is_last:
            self._change(DeliveryState(name=StateName.RUNNING, since=self._now()))

    def trouble(self, trouble: Trouble) -> None:
        """Something stands in the way."""
        self._set(state_for(trouble.error_class), trouble)

    def throttled(self, throttled_ms: int | None) -> None:
        """A broker's quota makes the producer wait so long; None: no more. Said when it begins and ends.

        Beside the state, which may be any. A pause that is not twice as long as the last one told is no change.
        """
        before = self._state.throttled_ms
        if throttled_ms == before or (before and throttled_ms and throttled_ms < 2 * before):
            return
        self._state = replace(self._state, throttled_ms=throttled_ms)
        if throttled_ms is None:
            self._log.info("throttled_no_more")
        elif before is None:
            self._log.warning("throttled", throttled_ms=throttled_ms, cure=_CURE_THROTTLED)

    def ended(self, trouble: Trouble | None = None) -> None:
        """Nothing more is handed over."""
        self._set(StateName.ENDED, trouble)

    def _set(self, name: StateName, trouble: Trouble | None) -> None:
        before = self._state
        state = DeliveryState(name=name, since=self._now())
        if trouble is not None:
            state = replace(
                state,
                error_class=trouble.error_class,
                code=trouble.code,
                cause=trouble.cause,
                cure=trouble.cure or cure_for(trouble.error_class, trouble.code),
                topic=trouble.topic,
                message_id=trouble.message_id,
            )
        if self.is_last:
            return
        if replace(before, attempts=None, next_attempt_at=None, throttled_ms=None) != replace(
            state, since=before.since, cause=before.cause
        ):
            self._change(state)
        if trouble is not None and trouble.pause_s is not None:
            again_at = self._now() + timedelta(seconds=trouble.pause_s)
            self._state = replace(self._state, attempts=trouble.attempts, next_attempt_at=again_at)

    def _change(self, state: DeliveryState) -> None:
        seconds = round((state.since - self._state.since).total_seconds(), 1)
        self._state = replace(state, throttled_ms=self._state.throttled_ms)
        if state.error_class is None:
            self._log.info("delivery_state", state=str(state.name), after_s=seconds)
            return
        self._log.warning(
            "delivery_state",
            state=str(state.name),
            error_class=str(state.error_class),
            error_code=state.code,
            cause=state.cause,
            cure=state.cure,
            topic=state.topic,
            message_id=state.message_id,
        )
