"""Python's garbage collector while messages are handed over."""

import gc
from collections.abc import Iterator

import pytest

from delivery_kit import ORIGIN, a_config, a_row
from pg_tide_relay.collector import keep_out_of_the_way
from pg_tide_relay.encode import compile_shape


@pytest.fixture
def as_before() -> Iterator[None]:
    """The collector of the test's own process is left as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def collections() -> int:
    """How often it has looked, at whatever generation."""
    return sum(generation["collections"] for generation in gc.get_stats())


@pytest.mark.usefixtures("as_before")
def test_thousands_of_messages_in_flight_do_not_make_it_look_at_everything_again_and_again() -> None:
    """Eight batches of a thousand, all kept: a few looks instead of dozens, and none at what was there before."""
    shape = compile_shape(a_config(), ORIGIN)
    keep_out_of_the_way()
    assert gc.get_freeze_count() > 10_000
    before = collections()
    kept = [shape(a_row(number, key=b"k")) for number in range(8_000)]
    assert collections() - before <= 3
    assert len(kept) == 8_000


@pytest.mark.usefixtures("as_before")
def test_cycles_are_still_collected() -> None:
    """Later than by default, but without bound nothing grows."""

    class Knot:
        def __init__(self) -> None:
            self.itself = self

    keep_out_of_the_way()
    before = collections()
    for _ in range(60_000):
        Knot()
    assert collections() > before
    assert sum(isinstance(one, Knot) for one in gc.get_objects()) < 60_000
