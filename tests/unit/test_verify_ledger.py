"""The ledger of `pg-tide verify` against the plain one of the fault campaigns, on whatever may stand on a topic."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from faults.ledger import Arrived, Committed, Identity
from faults.ledger import Ledger as Reference
from pg_tide_relay.verify.ledger import (
    DEAD_LETTER,
    FILTERED,
    FOLLOWED,
    REDRIVEN,
    TOMBSTONE,
    UNSETTLED,
    Kind,
    Ledger,
)

KEYS = st.sampled_from([None, b"", b"a", b"b", b"c"])
MESSAGES = st.lists(KEYS, max_size=12)
TOPIC = 1


def entered(keys: list[bytes | None], flags: int = 0) -> Ledger:
    """A ledger of messages 1, 2, ... with these keys."""
    ledger = Ledger()
    for number, key in enumerate(keys, 1):
        ledger.enter(number, 1000 + number, TOPIC, key, flags)
    return ledger


def take(ledger: Ledger, message_id: int, offset: int, key: bytes | None, **given: int) -> Kind:
    """A record of that message."""
    return ledger.take(
        message_id,
        given.get("ts", 1000 + message_id),
        topic=given.get("topic", TOPIC),
        partition=given.get("partition", 0),
        offset=offset,
        key=key,
        is_empty=bool(given.get("is_empty")),
    )[0]


@settings(max_examples=300, deadline=None)
@given(MESSAGES, st.data())
def test_it_finds_what_the_plain_ledger_finds(keys: list[bytes | None], data: st.DataObject) -> None:
    """Records in any order, any number of times, beside some of no message, on two partitions."""
    ids = st.integers(1, len(keys) + 2)
    arrived = data.draw(st.lists(ids, max_size=30))
    ledger, records, counts = entered(keys), [], Counter[Kind]()
    for offset, one in enumerate(arrived):
        key = keys[one - 1] if one <= len(keys) else b"a"
        # A key is on one partition; both ledgers are given it in the order of reading.
        partition = 0 if key in (None, b"a") else 1
        counts[take(ledger, one, offset, key, partition=partition)] += 1
        records.append(Arrived(Identity(one, 1000 + one), key, partition))
    reference = Reference(
        [Committed(Identity(number, 1000 + number), key) for number, key in enumerate(keys, 1)], records
    )
    judged = ledger.judge(frozenset(), 100)
    verdict = reference.verdict
    assert [ledger.ids[place] for place in judged.missing] == [one.id for one in verdict.lost]
    assert sorted(ledger.ids[one.late] for one in judged.breaks) == sorted(
        one.id for one in verdict.reordered
    )
    assert judged.break_count == len(verdict.reordered)
    known = [one for one in arrived if one <= len(keys)]
    assert counts[Kind.DUPLICATE] == len(known) - len(set(known))
    assert counts[Kind.UNKNOWN] == len(arrived) - len(known)


def test_an_id_that_was_used_again_names_another_message() -> None:
    ledger = entered([b"a"])
    assert take(ledger, 1, 0, b"a", ts=7) is Kind.UNKNOWN
    assert list(ledger.judge(frozenset(), 1).missing) == [0]


def test_what_is_filtered_or_not_settled_is_not_missed() -> None:
    for flags in (FILTERED, UNSETTLED):
        assert list(entered([b"a"], flags).judge(frozenset(), 1).missing) == []
    assert take(entered([b"a"], FILTERED), 1, 0, b"a") is Kind.MISPLACED
    assert take(entered([b"a"], UNSETTLED), 1, 0, b"a") is Kind.FIRST


def test_a_record_on_another_topic_does_not_stand_for_the_one_that_is_missing() -> None:
    ledger = entered([b"a"])
    assert take(ledger, 1, 0, b"a", topic=2) is Kind.MISPLACED
    assert list(ledger.judge(frozenset(), 1).missing) == [0]


def test_both_records_of_a_message_are_asked_for() -> None:
    ledger = entered([b"a"], FOLLOWED | TOMBSTONE)
    assert take(ledger, 1, 0, b"a") is Kind.FIRST
    assert list(ledger.judge(frozenset(), 1).missing) == [0]
    assert take(ledger, 1, 1, b"a", is_empty=1) is Kind.FIRST
    assert list(ledger.judge(frozenset(), 1).missing) == []
    assert take(ledger, 1, 2, b"a", is_empty=1) is Kind.DUPLICATE
    assert take(ledger, 1, 3, b"a") is Kind.DUPLICATE


def test_a_compacted_topic_may_keep_the_newest_record_of_a_key_only() -> None:
    """And nothing of a key that a tombstone has ended; the newest itself must be there."""
    ledger = entered([b"a", b"b", b"a", b"b"])
    take(ledger, 3, 0, b"a")
    judged = ledger.judge(frozenset({TOPIC}), 1)
    assert ([ledger.ids[place] for place in judged.missing], judged.removed) == ([2, 4], 1)
    assert [ledger.ids[place] for place in ledger.judge(frozenset(), 1).missing] == [1, 2, 4]
    ended = Ledger()
    ended.enter(1, 1001, TOPIC, b"a", 0)
    ended.enter(2, 1002, TOPIC, b"a", TOMBSTONE)
    ended.enter(3, 1003, TOPIC, b"a", 0)
    assert [ended.ids[place] for place in ended.judge(frozenset({TOPIC}), 1).missing] == [3]


def test_dead_letters_are_subtracted() -> None:
    """But not another message that had the id before."""
    ledger = entered([b"a", b"a", b"a"])
    ledger.mark(2, 1002, DEAD_LETTER)
    ledger.mark(3, 7, DEAD_LETTER)
    ledger.mark(99, 1099, DEAD_LETTER)
    assert [ledger.ids[place] for place in ledger.judge(frozenset(), 1).missing] == [1, 3]


def test_a_redriven_message_is_expected_and_in_no_order() -> None:
    """Neither it nor what it stands among; the others are judged all the same."""
    ledger = entered([b"a"] * 4)
    ledger.mark(2, 1002, REDRIVEN)
    assert [ledger.ids[place] for place in ledger.judge(frozenset(), 1).missing] == [1, 2, 3, 4]
    for offset, message_id in enumerate([1, 4, 3, 2]):
        take(ledger, message_id, offset, b"a")
    judged = ledger.judge(frozenset(), 10)
    assert [ledger.ids[one.late] for one in judged.breaks] == [3]


def test_a_copy_of_a_replay_stands_in_no_order_and_its_message_is_not_missing() -> None:
    ledger = entered([b"a", b"a", b"a"])
    ledger.take_copy(1, 1001, TOPIC)
    ledger.take_copy(2, 1002, TOPIC + 1)  # elsewhere: no proof
    ledger.take_copy(3, 9999, TOPIC)  # of another message that had the id
    assert take(ledger, 3, 7, b"a") is Kind.FIRST
    judged = ledger.judge(frozenset(), 10)
    assert ([ledger.ids[place] for place in judged.missing], judged.break_count) == ([2], 0)


def test_a_copy_on_a_compacted_topic_may_have_removed_all_of_its_key() -> None:
    """Newer messages, too: it stands behind them."""
    ledger = entered([b"a", b"a", b"b", b"a"])
    ledger.take_copy(1, 1001, TOPIC)
    judged = ledger.judge(frozenset({TOPIC}), 10)
    assert ([ledger.ids[place] for place in judged.missing], judged.removed) == ([3], 2)
