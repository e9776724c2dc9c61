"""How fast a pipeline hands messages over: no faster than its configuration allows.

A token bucket that is looked at and never waited for: the thread that hands over serves all pipelines. What may
not go now stays in the window, in its place, until a later look.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from pg_tide_relay.config.pace_models import RateLimitConfig


class Pace(Protocol):
    """How much may go now."""

    def available(self) -> int:
        """How many messages may go now."""

    def take(self, messages: int) -> None:
        """So many records went."""


class TokenBucket:
    """Holds at most ``burst`` tokens, begins full, and gains ``per_s`` of them a second; a message takes one."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float]) -> None:
        """``clock`` is monotonic, in seconds."""
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def available(self) -> int:
        """How many messages may go now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        return int(self._tokens)

    def take(self, messages: int) -> None:
        """So many records went; more than there were tokens for, where messages had tombstones. They are paid back."""
        self._tokens -= messages


def pace_of(config: RateLimitConfig, clock: Callable[[], float], shards: int = 1) -> TokenBucket | None:
    """The bucket that a configuration asks for, or the part of it that each of several shards has; None: no limit."""
    per_s = config.max_messages_per_second
    if per_s is None:
        return None
    return TokenBucket(per_s / shards, max(1, (config.burst_size or per_s) // shards), clock)


class AllOf:
    """Several limits at once: what goes takes a token from each."""

    def __init__(self, paces: Sequence[Pace]) -> None:
        """At least one."""
        self._paces = paces

    def available(self) -> int:
        """How many messages each of them lets go now."""
        return min(pace.available() for pace in self._paces)

    def take(self, messages: int) -> None:
        """So many records went."""
        for pace in self._paces:
            pace.take(messages)
