"""What may be settled: the longest prefix of messages with an outcome."""

from hypothesis import given
from hypothesis import strategies as st

from delivery_kit import a_row
from pg_tide_relay.window import Batch, Outcome, Window


def a_window(*sizes: int) -> tuple[Window, list[Batch]]:
    window, batches, next_id = Window(), [], 1
    for number, size in enumerate(sizes):
        rows = [a_row(message_id) for message_id in range(next_id, next_id + size)]
        batches.append(Batch(rows=rows, position=number))
        window.append(batches[-1])
        next_id += size
    return window, batches


def test_nothing_is_settled_past_a_message_without_an_outcome() -> None:
    """Nine of ten acknowledged, the first not: nothing may be settled."""
    window, (batch,) = a_window(10)
    batch.outcomes[1:] = bytes([Outcome.DELIVERED]) * 9
    assert window.take_settled() == []


def test_the_settled_prefix_is_told_once() -> None:
    """A second call tells only what is new."""
    window, (batch,) = a_window(4)
    batch.outcomes[0] = Outcome.DELIVERED
    batch.outcomes[1] = Outcome.FILTERED
    assert [settled.up_to_id for settled in window.take_settled()] == [2]
    assert window.take_settled() == []
    batch.outcomes[2] = Outcome.DELIVERED
    assert [settled.up_to_id for settled in window.take_settled()] == [3]


def test_a_complete_batch_behind_an_unfinished_one_waits() -> None:
    """The cursor can't pass the first batch."""
    window, (first, second) = a_window(2, 2)
    second.outcomes[:] = bytes([Outcome.DELIVERED]) * 2
    assert window.take_settled() == []
    first.outcomes[:] = bytes([Outcome.DELIVERED]) * 2
    assert [(s.batch.position, s.up_to_id) for s in window.take_settled()] == [(0, None), (1, None)]
    assert len(window) == 0


def test_an_empty_batch_is_settled_when_everything_before_it_is() -> None:
    """It carries a position and nothing else."""
    window, (first, _) = a_window(1, 0)
    assert window.take_settled() == []
    first.outcomes[0] = Outcome.DELIVERED
    assert [s.batch.position for s in window.take_settled()] == [0, 1]


def test_the_bytes_of_a_batch_leave_with_it() -> None:
    """What is kept in memory is counted by all its texts: payloads, headers and keys."""
    window = Window()
    full = (1, b"update", b"1", b"22", b"4444", b"88888888", b"7777777", 1)
    batch = Batch(rows=[full, (2, b"delete", None, None, None, None, None, 1)], position=0)
    window.append(batch)
    assert window.size_bytes == 22
    batch.outcomes[:] = bytes([Outcome.DELIVERED]) * 2
    window.take_settled()
    assert window.size_bytes == 0


def test_going_back_starts_at_the_first_message_without_an_outcome() -> None:
    """What is delivered is not sent again where the producer guards the order."""
    window, (batch,) = a_window(4)
    batch.next = 4
    batch.outcomes[:] = bytes([1, 0, 1, 0])
    window.restart(repeat_delivered=False)
    assert batch.next == 1
    assert batch.outcomes == bytes([1, 0, 1, 0])


def test_going_back_without_a_guard_repeats_what_was_delivered_behind() -> None:
    """It may stand before its predecessor on the topic: a copy has to follow."""
    window, (batch,) = a_window(4)
    batch.outcomes[:] = bytes([1, 0, 1, Outcome.FILTERED])
    window.restart(repeat_delivered=True)
    assert batch.outcomes == bytes([1, 0, 0, Outcome.FILTERED])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_settled_is_always_the_longest_prefix(sizes: list[int], random: object) -> None:
    """Whatever order the reports come in, and whenever one looks."""
    window, batches = a_window(*sizes)
    open_places = [(batch, place) for batch in batches for place in range(len(batch.rows))]
    random.shuffle(open_places)  # type: ignore[attr-defined]
    settled_id = 0
    for batch, place in open_places:
        batch.outcomes[place] = Outcome.DELIVERED
        for settled in window.take_settled():
            if settled.up_to_id is not None:
                settled_id = settled.up_to_id
            elif settled.batch.rows:
                settled_id = settled.batch.rows[-1][0]
        outcomes = b"".join(bytes(one.outcomes) for one in batches)
        assert settled_id == len(outcomes.split(b"\0")[0])
    window.take_settled()
    assert len(window) == 0
