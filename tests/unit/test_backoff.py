"""Pauses that grow, by chance a little shorter, without end and without a number to overflow."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.config.pace_models import RetryConfig


def never_less() -> float:
    return 0.0


def never_more() -> float:
    return 1.0


@pytest.mark.parametrize(("chance", "factor"), [(never_less, 0.5), (never_more, 1.0), (lambda: 0.5, 0.75)])
def test_a_pause_doubles_up_to_the_longest_and_lies_between_half_of_it_and_all(
    chance: Callable[[], float], factor: float
) -> None:
    backoff = Backoff(RetryConfig(backoff_ms=200, backoff_max_ms=1_000), chance=chance)
    assert [backoff.next_s() for _ in range(5)] == pytest.approx(
        [factor * whole_s for whole_s in (0.2, 0.4, 0.8, 1.0, 1.0)]
    )


def test_without_a_configuration_the_pauses_are_the_documented_ones() -> None:
    backoff = Backoff(chance=never_more)
    assert [backoff.next_s() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_progress_begins_again_with_the_first_pause_and_no_attempts() -> None:
    backoff = Backoff(chance=never_more)
    for attempt in range(1, 4):
        backoff.next_s()
        assert backoff.attempts == attempt
    backoff.reset()
    assert (backoff.attempts, backoff.next_s(), backoff.attempts) == (0, 0.5, 1)


def test_chance_spreads_those_who_began_in_one_moment() -> None:
    """The factory's chance is none of the test's: of a hundred, hardly two come back at the same time."""
    pauses = sorted(Backoff().next_s() for _ in range(100))
    assert 0.25 <= pauses[0] < pauses[-1] <= 0.5
    assert sum(first == second for first, second in pairwise(pauses)) < 5


def test_years_of_attempts_do_not_overflow() -> None:
    backoff = Backoff(chance=never_more)
    backoff.attempts = 10**9
    assert backoff.next_s() == 30
