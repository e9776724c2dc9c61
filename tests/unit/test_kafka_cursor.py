"""Where a pipeline that delivers exactly once goes on: what the cursor's row says against what Kafka says."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from pg_tide_relay.cursor import Position
from pg_tide_relay.kafka_cursor import DatabaseOlderError, Mark, is_durable, named, where_to_go_on

A, B, C = (UUID(int=number) for number in (1, 2, 3))
BETWEEN = Position(prev="5:5:")
IN_WINDOW = Position(prev="5:5:", cur="9:9:", first_id=10, last_id=20, window_token=B)
IN_PASS = Position(prev="5:5:", replay_from=3, replay_last=6, window_token=B)


@pytest.mark.parametrize("position", [BETWEEN, IN_WINDOW, IN_PASS])
@pytest.mark.parametrize("known", [None, [], [A]])
def test_without_a_record_in_kafka_the_database_is_right(
    position: Position, known: Sequence[UUID] | None
) -> None:
    assert where_to_go_on(position, known, None) == position


@pytest.mark.parametrize(("last_id", "expected"), [(15, 20), (20, 20), (33, 33)])
def test_of_two_positions_in_one_window_the_later_is_right(last_id: int, expected: int) -> None:
    """The database's may be the later one, too: it delivered at least once meanwhile."""
    assert where_to_go_on(IN_WINDOW, [A, B], Mark(B, last_id)).last_id == expected


def test_in_a_replay_pass_it_is_the_pass_that_goes_on() -> None:
    found = where_to_go_on(IN_PASS, [A, B], Mark(B, 8))
    assert (found.replay_from, found.replay_last, found.last_id) == (3, 8, 0)


@pytest.mark.parametrize("position", [BETWEEN, IN_WINDOW, IN_PASS])
def test_a_record_of_an_earlier_window_leaves_the_position_alone(position: Position) -> None:
    assert where_to_go_on(position, [A, B], Mark(A, 10**6)) == position


@pytest.mark.parametrize("position", [BETWEEN, IN_WINDOW, IN_PASS])
@pytest.mark.parametrize("known", [[], [A], [A, B]])
def test_a_record_of_a_window_that_nobody_knows_stops_it(position: Position, known: Sequence[UUID]) -> None:
    with pytest.raises(DatabaseOlderError):
        where_to_go_on(position, known, Mark(C, 7))


def test_after_a_rebase_any_record_is_passed_over() -> None:
    assert where_to_go_on(BETWEEN, None, Mark(C, 7)) == BETWEEN


def test_nothing_is_sent_of_a_window_whose_name_is_not_known_yet() -> None:
    """One that was opened by at least once, or by a rewind that gave its pass no name."""
    assert is_durable(BETWEEN, [])
    assert is_durable(IN_WINDOW, [A, B])
    assert not is_durable(IN_WINDOW, [A])
    assert not is_durable(IN_WINDOW, None)
    assert not is_durable(Position(prev="5:5:", replay_from=3, replay_last=2), [A])
    assert named(IN_PASS) == IN_PASS
    assert named(Position(prev="5:5:", replay_from=3, replay_last=2)).window_token is not None


def test_a_record_says_what_was_written() -> None:
    assert Mark.from_value(Mark(A, 2**62).as_value()) == Mark(A, 2**62)
