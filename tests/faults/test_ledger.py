"""The judge is judged: each fault, put by hand into a log, is found, and nothing else is."""

import tracemalloc
from collections.abc import Iterator

import pytest

from faults.ledger import (
    Arrived,
    Committed,
    Content,
    Identity,
    Ledger,
    Overtaken,
    Verdict,
    Wrong,
)

MANY = 100_000
BYTES_OF_A_MESSAGE = 250


def message(number: int, created_us: int = 0) -> Identity:
    return Identity(number, created_us or 1000 + number)


def ledger(committed: str, arrived: str) -> Ledger:
    """From words such as `a1 b2`: key and id; of an arrived record also the partition: `a1@2`."""

    def split(word: str) -> tuple[bytes | None, Identity, int]:
        name, _, partition = word.partition("@")
        key = None if name[0] == "-" else name[0].encode()
        return key, message(int(name[1:])), int(partition or 0)

    return Ledger(
        [Committed(identity, key) for key, identity, _ in map(split, committed.split())],
        [Arrived(identity, key, partition) for key, identity, partition in map(split, arrived.split())],
    )


def test_a_complete_log_in_order_is_clean() -> None:
    """Keys may interleave, partitions too; ids may have gaps."""
    found = ledger("a1 b2 a4 b9", "b2@1 a1 a4 b9@1")
    assert found.verdict.is_clean
    assert found.duplicates == 0


def test_a_resend_is_duplicates_and_no_fault() -> None:
    """Copies of a stretch, in order among themselves, break no promise."""
    found = ledger("a1 a2 a3 a4", "a1 a2 a3 a2 a3 a4")
    assert found.verdict.is_clean
    assert found.duplicates == 2
    assert found.stale_keys() == ()


def test_a_committed_message_that_never_arrived_is_lost() -> None:
    """At the end of a key as well as in the middle of it."""
    assert ledger("a1 a2 b3", "a1").verdict == Verdict(lost=(message(2), message(3)))
    assert ledger("a1 a2 a3", "a1 a3").verdict.lost == (message(2),)


def test_a_record_without_a_committed_message_is_a_phantom() -> None:
    """A rolled-back message, counted once however often it was sent."""
    assert ledger("a1", "a1 a2 a2").verdict == Verdict(phantom=(message(2),))


def test_an_id_that_carries_another_message_is_both_lost_and_a_phantom() -> None:
    """Ids are used again after a fail-over: the pair is the identity, not the id."""
    found = Ledger([Committed(Identity(7, 200), b"a")], [Arrived(Identity(7, 100), b"a")])
    assert found.verdict == Verdict(lost=(Identity(7, 200),), phantom=(Identity(7, 100),))


def test_first_occurrences_out_of_id_order_are_reordered() -> None:
    """Within a key; a later copy in the right order does not heal it."""
    found = ledger("a1 a2 b3", "a2 b3 a1 a2")
    assert found.verdict.reordered == (message(1),)
    assert found.verdict.overtaken == (Overtaken(early=message(2), missing=message(1)),)


def test_messages_of_different_keys_are_not_ordered() -> None:
    """Nor are messages without a key."""
    assert ledger("a1 b2 -3 -4", "b2 a1 -4 -3").verdict.is_clean


def test_a_record_before_a_lost_predecessor_is_overtaken() -> None:
    """Nothing is reordered there, yet the consumer has seen 3 without 2."""
    found = ledger("a1 a2 a3", "a1 a3 a3")
    assert found.verdict.reordered == ()
    assert found.verdict.overtaken == (Overtaken(early=message(3), missing=message(2)),)


def test_predecessors_on_another_partition_do_not_count() -> None:
    """A consumer reads one partition: a key on two is scattered, and overtaken there."""
    found = ledger("a1 a2", "a1@0 a2@1")
    assert found.verdict.scattered == (b"a",)
    assert found.verdict.overtaken == (Overtaken(early=message(2), missing=message(1)),)


def test_phantoms_do_not_disturb_the_order_of_what_is_real() -> None:
    """A phantom with a large id is one fault, not two."""
    assert ledger("a1 a2", "a1 a9 a2").verdict == Verdict(phantom=(message(9),))


def test_a_key_that_ends_with_an_old_copy_is_stale() -> None:
    """What late packets of an old producer do: the promise holds, the last write is wrong."""
    found = ledger("a1 a2 a3 b4", "a1 a2 a3 b4 a1 a2")
    assert found.verdict.is_clean
    assert found.stale_keys() == (b"a",)


def test_a_verdict_reads_as_counts_with_examples() -> None:
    """What a failing campaign prints."""
    assert "1 lost: (Identity(id=2, created_us=1002),)" in str(ledger("a1 a2", "a1").verdict)


CONTENT = Content(b'{"n": 1}', (("pg_tide_id", b"1"), ("trace", b"t")))


@pytest.mark.parametrize(
    ("record", "parts"),
    [
        (Arrived(message(1), b"a", 0, CONTENT), []),
        (Arrived(message(1), b"a", 0, Content(b'{"n":1}', CONTENT.headers)), ["value"]),
        (Arrived(message(1), b"a", 0, Content(None, CONTENT.headers)), ["value"]),
        (Arrived(message(1), b"a", 0, Content(CONTENT.value, CONTENT.headers[:1])), ["headers"]),
        (Arrived(message(1), b"a", 0, Content(CONTENT.value, CONTENT.headers[::-1])), ["headers"]),
        (Arrived(message(1), b"b", 0, CONTENT), ["key"]),
        (Arrived(message(1), None, 0, CONTENT), ["key"]),
        (Arrived(message(1), b"b", 0, Content(b"", ())), ["key", "value", "headers"]),
    ],
)
def test_other_bytes_than_the_messages_are_wrong(record: Arrived, parts: list[str]) -> None:
    """One space, one header, the order of headers: whatever a consumer can see."""
    found = Ledger([Committed(message(1), b"a", CONTENT)], [record]).verdict
    assert found == Verdict(wrong=tuple(Wrong(message(1), part) for part in parts))


def test_a_wrong_copy_of_a_message_that_arrived_well_is_wrong() -> None:
    """Each record is looked at, not only the first of a message."""
    records = [Arrived(message(1), b"a", 0, CONTENT), Arrived(message(1), b"a", 0, Content(b"x", ()))]
    found = Ledger([Committed(message(1), b"a", CONTENT)], records).verdict
    assert [wrong.part for wrong in found.wrong] == ["value", "headers"]


def test_one_id_at_two_times_is_two_messages() -> None:
    """Both are committed here, both have to arrive, and neither is the other's duplicate."""
    both = [Committed(Identity(7, at), b"a") for at in (200, 100)]
    assert Ledger(both, [Arrived(Identity(7, 100), b"a")]).verdict.lost == (Identity(7, 200),)
    complete = Ledger(both, [Arrived(Identity(7, 100), b"a"), Arrived(Identity(7, 200), b"a")])
    assert complete.verdict.is_clean
    assert complete.duplicates == 0
    swapped = Ledger(both, [Arrived(Identity(7, 200), b"a"), Arrived(Identity(7, 100), b"a")])
    assert swapped.verdict.reordered == (Identity(7, 100),)


def test_duplicates_are_told_with_the_time_they_were_written() -> None:
    """The first record of a message is none, whenever it came."""
    times = {1: [10], 2: [11, 25], 3: [12, 20, 30]}
    records = [Arrived(message(n), b"a", 0, None, at) for n, several in times.items() for at in several]
    assert list(ledger_of(3, iter(records)).duplicate_times) == [25, 20, 30]


def test_what_was_on_a_deleted_topic_may_be_missing_and_nothing_else() -> None:
    """Messages published before that time, which may also be sent again behind newer ones; the others are judged."""
    committed = [Committed(Identity(n, 1000 * n), b"a") for n in range(1, 7)]

    def judge(*ids: int) -> Verdict:
        records = [Arrived(Identity(n, 1000 * n), b"a") for n in ids]
        return Ledger(committed, records, gone_before_us=4000).verdict

    assert judge(4, 5, 6).is_clean
    assert judge(2, 4, 5, 6).is_clean
    assert judge(4, 6).lost == (Identity(5, 5000),)
    assert judge(4, 6).overtaken == (Overtaken(early=Identity(6, 6000), missing=Identity(5, 5000)),)
    assert judge(4, 5, 2, 3, 6).is_clean
    assert judge(3, 5, 4, 6).reordered == (Identity(4, 4000),)


def ledger_of(count: int, records: Iterator[Arrived]) -> Ledger:
    return Ledger((Committed(message(n), b"a") for n in range(1, count + 1)), records)


def test_the_memory_of_many_messages_is_bounded() -> None:
    """Both sides are streams whose bytes are let go: a million messages need no gigabytes."""
    content = "x" * 1000

    def messages(kind: type[Committed] | type[Arrived]) -> Iterator[Committed | Arrived]:
        for n in range(MANY):
            bytes_of_it = Content(f"{n} {content}".encode(), (("pg_tide_id", b"%d" % n),))
            if kind is Committed:
                yield Committed(message(n), b"key %d" % (n % 50), bytes_of_it)
            else:
                yield Arrived(message(n), b"key %d" % (n % 50), 0, bytes_of_it)

    tracemalloc.start()
    found = Ledger(messages(Committed), messages(Arrived))  # type: ignore[arg-type]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.verdict.is_clean, str(found.verdict)
    assert found.records == len(found.committed) == MANY
    assert peak < MANY * BYTES_OF_A_MESSAGE, peak / MANY
