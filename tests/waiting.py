"""The one way in which tests wait: look again until something holds, or fail when the time is over."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

_LOOK_EVERY_SECONDS = 0.02


def eventually(
    condition: Callable[[], T | None], *, within: float = 30.0, why: Callable[[], object] = str
) -> T:
    """The condition's first value that is not false; `within` seconds at most, then `why()` says what was seen."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not so within {within} s; seen at the end: {value!r}\n{why()}")
        time.sleep(_LOOK_EVERY_SECONDS)
    return value


def for_all_of(seconds: float, condition: Callable[[], object], why: Callable[[], object] = str) -> None:
    """The condition holds each time it is looked at during this long: for what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not condition():
            pytest.fail(f"held no longer\n{why()}")
        time.sleep(_LOOK_EVERY_SECONDS)
