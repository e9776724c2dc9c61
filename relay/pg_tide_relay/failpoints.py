"""Named places where a test can make this process die or wait; nothing happens unless the environment names one.

``PG_TIDE_FAILPOINTS=before_settle=kill@3,after_fetch=sleep:200`` kills the process the third time it comes to
``before_settle`` and waits 200 ms each time at ``after_fetch``. Unknown names are refused, so that a test that
means a place that no longer exists fails.
"""

import os
import signal
import time
from typing import Final

NAMES: Final = (
    "after_acquire",
    "after_window_open",
    "before_flush",
    "after_fetch",
    "before_hand_over",
    "after_hand_over",
    "on_acknowledgement",
    "after_fence",
    "after_keep",
    "before_commit",
    "after_commit",
    "before_settle",
    "after_settle",
    "before_redrive_settle",
    "after_redrive_settle",
    "before_shards_pass",
    "after_shards_pass",
    "before_replay_settle",
    "after_replay_settle",
    "before_release",
)

_VARIABLE: Final = "PG_TIDE_FAILPOINTS"


class FailpointError(ValueError):
    """The variable names a place or an action that does not exist."""


class _Place:
    def __init__(self, action: str) -> None:
        what, _, at = action.partition("@")
        verb, _, millis = what.partition(":")
        if verb not in ("kill", "sleep") or (verb == "sleep") != millis.isdigit():
            raise FailpointError(f"{_VARIABLE}: unknown action {action!r}; use kill, kill@N or sleep:MS")
        self.kill = verb == "kill"
        self.seconds = int(millis or 0) / 1000
        self.remaining = int(at or 1)

    def hit(self) -> None:
        self.remaining -= 1
        if not self.kill:
            time.sleep(self.seconds)
        elif self.remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)


_places: dict[str, _Place] = {}


def arm(environ: dict[str, str]) -> None:
    """Read the variable; called once when a relay starts. Raises FailpointError."""
    _places.clear()
    for item in filter(None, environ.get(_VARIABLE, "").split(",")):
        name, _, action = item.partition("=")
        if name not in NAMES:
            raise FailpointError(f"{_VARIABLE}: no place is named {name!r}; there are {', '.join(NAMES)}")
        _places[name] = _Place(action)


def hit(name: str) -> None:
    """The program has come to this place."""
    if _places and (place := _places.get(name)) is not None:
        place.hit()
