"""A signal reaches the relay at any moment, also in the middle of the shortest wait."""

import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from pg_tide_relay.settings import RelaySettings
from pg_tide_relay.supervisor import Supervisor

WAIT_S = 0.03
SIGNAL_AFTER_S = 0.01
HANDLED_IN_S = 0.05  # longer than what is left of the wait by then
RESCUE_AFTER_S = 3.0


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A relay whose handler is slow, as on a machine that has much to do; it never connects."""
    relay = Supervisor(RelaySettings(dsn="", relay_id="test"))

    def slow(number: int, frame: FrameType | None) -> None:
        time.sleep(HANDLED_IN_S)
        relay.on_signal(number, frame)

    before = signal.signal(signal.SIGALRM, slow)
    yield relay
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_in_a_wait_does_not_make_it_endless(supervisor: Supervisor) -> None:
    """The interpreter may begin an interrupted wait again with a time below zero, which means for ever."""
    rescue = threading.Timer(RESCUE_AFTER_S, supervisor._inbox.put, [lambda: None])
    rescue.start()
    begun = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, SIGNAL_AFTER_S)
    supervisor._answer(WAIT_S)
    rescue.cancel()
    assert time.monotonic() - begun < RESCUE_AFTER_S
