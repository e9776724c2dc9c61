"""Positions as values: each move changes what it names, and nothing else."""

from dataclasses import fields
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_tide_relay.cursor import (
    FROM_THE_BEGINNING,
    NO_MAIN_PART,
    Position,
    snapshot_running,
    snapshot_xmax,
)

TOKEN = UUID(int=7)
IDS = st.integers(1, 2**62)


@st.composite
def snapshots(draw: st.DrawFn) -> str:
    """As PostgreSQL writes them: lowest running, one past the latest ended, those running in between."""
    running = sorted(draw(st.sets(st.integers(3, 10**6), max_size=5)))
    xmax = draw(st.integers(running[-1] + 1 if running else 3, 2 * 10**6))
    return f"{running[0] if running else xmax}:{xmax}:{','.join(map(str, running))}"


def changed(before: Position, after: Position) -> set[str]:
    """Names of the fields that differ."""
    names = (field.name for field in fields(Position))
    return {name for name in names if getattr(before, name) != getattr(after, name)}


@given(snapshot=snapshots())
def test_a_snapshot_is_read_as_postgresql_writes_it(snapshot: str) -> None:
    """Its three parts, put together again, are the text."""
    running = snapshot_running(snapshot)
    xmax = snapshot_xmax(snapshot)
    lowest = running[0] if running else str(xmax)
    assert snapshot == f"{lowest}:{xmax}:{','.join(running)}"


def test_a_snapshot_without_running_transactions_has_none() -> None:
    """An empty list, not a list with an empty name in it."""
    assert snapshot_running("740:740:") == []
    assert snapshot_running("740:743:740,742") == ["740", "742"]


def test_from_the_beginning_nothing_has_ended() -> None:
    """Every transaction id is at or above its xmax, and no stragglers are looked for."""
    assert snapshot_xmax(FROM_THE_BEGINNING) == 1
    assert snapshot_running(FROM_THE_BEGINNING) == []


def test_no_id_lies_behind_the_first_id_of_a_window_without_a_main_part() -> None:
    """It is the largest bigint: `id > first_id - 1` finds no id that a sequence can hand out before its end."""
    assert NO_MAIN_PART == 2**63 - 1


@given(prev=snapshots(), cur=snapshots(), first=IDS, steps=st.lists(IDS, max_size=5))
def test_a_window_ends_where_it_was_said_to_end(prev: str, cur: str, first: int, steps: list[int]) -> None:
    """Opened, walked through and exhausted: prev is the window's end, and nothing of the window is left."""
    position = Position(prev=prev).open(cur, first, TOKEN)
    assert (position.prev, position.cur, position.first_id, position.last_id) == (prev, cur, first, 0)
    for step in steps:
        after = position.at(step)
        assert changed(position, after) <= {"last_id"}
        assert after.last_id == step
        assert after.same_window(position)
        position = after
    assert position.exhausted() == Position(prev=cur)


@given(prev=snapshots(), start=IDS, steps=st.lists(IDS, max_size=5))
def test_a_replay_pass_leaves_the_snapshots_alone(prev: str, start: int, steps: list[int]) -> None:
    """Walked through and exhausted: the group stands between two windows where it stood before."""
    position = Position(prev=prev, replay_from=start, replay_last=start - 1)
    assert position.replaying
    for step in steps:
        after = position.at(step)
        assert changed(position, after) <= {"replay_last"}
        assert after.replay_last == step
        position = after
    assert position.exhausted() == Position(prev=prev)
    assert not position.exhausted().replaying


def test_a_pass_from_the_smallest_id_is_one() -> None:
    """Settled up to -1 is not the same as no pass."""
    assert Position(prev="1:1:", replay_from=0, replay_last=-1).replaying
    assert not Position(prev="1:1:").replaying


def test_two_windows_with_the_same_start_are_not_the_same() -> None:
    """The snapshots have to be written when either of them changes."""
    between = Position(prev="5:5:")
    window = between.open("9:9:", 1, uuid4())
    assert not window.same_window(between)
    assert window.at(3).same_window(window)
    assert not window.exhausted().same_window(window)


def test_a_position_is_a_value() -> None:
    """What was handed to a settle can't change behind its back."""
    position = Position(prev="5:5:")
    with pytest.raises(AttributeError):
        position.last_id = 3  # type: ignore[misc]
    position.at(3)
    assert position == Position(prev="5:5:")
