"""Growing pauses between attempts that go on for ever.

Each is twice as long as the one before it, and by chance up to half of that shorter ("equal jitter"): a hundred
pipelines that lost one cluster in one moment must not come back in one. Half of it is certain, because an attempt
may cost a new producer and a window of messages sent again; without a lower bound some would follow at once.
"""

import random
from collections.abc import Callable

from pg_tide_relay.config.pace_models import RetryConfig

_DOUBLINGS_MAX = 40  # beyond any longest pause; keeps the power small


class Backoff:
    """0.5, 1, 2, ... 30 seconds, each times a factor between a half and one; from the beginning after ``reset``."""

    def __init__(
        self, retry: RetryConfig | None = None, *, chance: Callable[[], float] = random.random
    ) -> None:
        """``retry``: the first and the longest pause. ``chance`` gives numbers from 0 to 1."""
        retry = retry or RetryConfig()
        self._first_s = retry.backoff_ms / 1000
        self._longest_s = retry.backoff_max_ms / 1000
        self._chance = chance
        self.attempts = 0
        """Attempts that failed since the last progress."""

    def next_s(self) -> float:
        """An attempt failed: the pause before the next one, in seconds."""
        doubled: float = 2.0 ** min(self.attempts, _DOUBLINGS_MAX)
        whole_s = min(self._first_s * doubled, self._longest_s)
        self.attempts += 1
        return whole_s * (1 + self._chance()) / 2

    def reset(self) -> None:
        """An attempt succeeded."""
        self.attempts = 0
