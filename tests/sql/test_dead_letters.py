"""Dead letters in SQL: which are chosen, what a redrive does with each, where the owner's answers lead."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest

from fix_sql import CONFIG, OWNER, Logins, Ring

ADD = """
    select tide._dead_letters_add(1, 1, 0, %s, %s, 1, %s::bigint[], %s::boolean[], %s::boolean[], %s::bytea[],
      array_fill(null::text, array[n]), array_fill('message'::text, array[n]),
      array_fill('MSG_SIZE_TOO_LARGE'::text, array[n]), array_fill('too large'::text, array[n]))
    from cardinality(%s::bigint[]) n
"""
SETTLE = """
    select drained
      from (select array(select dead_letter_id from tide.dead_letter where message_id = any (%s::bigint[]))) f (ids)
     cross join lateral tide._redrive_settle(1, 1, 0, %s, %s, 1,
       array(select dead_letter_id from tide.dead_letter where message_id = any (%s::bigint[])),
       array(select dead_letter_id from tide.dead_letter where message_id = any (%s::bigint[])), f.ids,
       array_fill(null::text, array[cardinality(f.ids)]), array_fill('message'::text, array[cardinality(f.ids)]),
       array_fill('POLICY_VIOLATION'::text, array[cardinality(f.ids)]),
       array_fill('again'::text, array[cardinality(f.ids)]))
"""


class Letters:
    """The pipeline `p` of the outbox `orders`, owned by a relay, and messages that it can't deliver."""

    def __init__(self, ring: Ring) -> None:
        self.connection = ring.connection
        self.ring = ring
        ring.value("select tide.relay_set_outbox('p', 'orders', 'g', %s)", CONFIG)
        ring.value("select tide.outbox_publish('orders', '{\"n\": 0}', key => 'k')")
        self.ids = [
            ring.value(
                "select tide.outbox_publish('orders', jsonb_build_object('n', %s::int), key => 'k')", n
            )
            for n in range(1, 6)
        ]
        self.epoch = ring.value("select epoch from tide._cursor_acquire(1, 0, %s, 'r', 60000, 0)", OWNER)

    def add(
        self, dead: Sequence[int], parked: Sequence[int] = (), *, parks: bool = True, key: bytes = b"k"
    ) -> Any:
        """As the owner's settle does."""
        ids = [*dead, *parked]
        return self.ring.value(
            ADD,
            OWNER,
            self.epoch,
            ids,
            [False] * len(dead) + [True] * len(parked),
            [parks] * len(ids),
            [key] * len(ids),
            ids,
        )

    def settle(
        self, delivered: Sequence[int], failed: Sequence[int] = (), waiting: Sequence[int] = ()
    ) -> Any:
        """As the owner's redrive does: the keys that are free, None when it is not the owner."""
        row = self.connection.execute(
            SETTLE, [list(failed), OWNER, self.epoch, list(delivered), list(waiting)]
        ).fetchone()
        return None if row is None else row[0]

    def states(self) -> list[str]:
        return [
            state
            for (state,) in self.connection.execute(
                "select state from tide.dead_letter order by message_id"
            ).fetchall()
        ]

    def plan(self, how: str) -> list[str]:
        """What a redrive does with each."""
        return [action for _, action, *_ in self.rows(f"select * from tide.dlq_redrive('p', {how})")]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()  # type: ignore[arg-type]


@pytest.fixture
def letters(ring: Ring) -> Iterator[Letters]:
    return Letters(ring)


def refused(letters: Letters, query: str) -> psycopg.errors.Diagnostic:
    with pytest.raises(psycopg.Error) as caught:
        letters.rows(query)
    return caught.value.diag


def test_only_the_owner_writes_dead_letters(letters: Letters) -> None:
    letters.epoch += 1
    assert letters.add(letters.ids[:1]) is None
    assert letters.states() == []
    letters.epoch -= 1
    assert letters.add(letters.ids[:1]) == 1
    letters.epoch += 1
    letters.ring.value("select count(*) from tide.dlq_redrive('p', everything => true)")
    assert letters.settle(letters.ids[:1]) is None
    assert letters.states() == ["redriving"]


def test_a_message_that_is_gone_is_an_error_and_nothing_is_kept(letters: Letters) -> None:
    with pytest.raises(psycopg.Error, match="only 1 of 2 messages"):
        letters.add([letters.ids[0], 999_999])
    assert letters.states() == []


def test_what_is_parked_behind_a_chosen_one_follows_up_to_the_next_that_is_not(letters: Letters) -> None:
    a, b, c, d, e = letters.ids
    letters.add([a, d], [b, c, e])
    assert letters.plan(f"ids => array[{a}], dry_run => true") == [
        "redrive",
        "follows",
        "follows",
        f"waits for {d}",
    ]
    assert letters.states() == ["dead", "parked", "parked", "dead", "parked"]
    assert letters.plan(f"ids => array[{d}]")[-2:] == [f"waits for {a}", f"waits for {a}"]
    assert letters.states() == ["dead", "parked", "parked", "dead", "parked"]
    letters.plan(f"ids => array[{a}]")
    assert letters.states() == ["redriving", "redriving", "redriving", "dead", "parked"]


def test_without_parking_each_goes_by_itself(letters: Letters) -> None:
    letters.add(letters.ids, parks=False)
    assert letters.plan(f"ids => array[{letters.ids[3]}]") == ["redrive"]
    assert letters.states() == ["dead", "dead", "dead", "redriving", "dead"]


def test_a_key_is_free_when_nothing_of_it_is_open(letters: Letters) -> None:
    a, b, c, *_ = letters.ids
    letters.add([a], [b])
    letters.plan("everything => true")
    letters.add([], [c])
    assert letters.settle([a, b]) == []
    assert letters.states() == ["redriven", "redriven", "redriving"]
    assert letters.settle([c]) == [b"k"]


def test_what_is_parked_with_nothing_before_it_is_sent(letters: Letters) -> None:
    """The relay had parked it in memory when the last of its key was delivered."""
    letters.add([], letters.ids[:2])
    assert letters.states() == ["redriving", "redriving"]


def test_one_that_fails_again_takes_the_rest_of_its_key_back(letters: Letters) -> None:
    a, b, c, d, e = letters.ids
    letters.add([a], [b, c])
    letters.add([d], [], key=b"other")
    letters.add([e], [], parks=False, key=b"third")
    letters.plan("everything => true")
    assert letters.settle([d, e], failed=[a], waiting=[b]) == [b"other"]
    assert letters.states() == ["dead", "parked", "parked", "redriven", "redriven"]
    assert letters.rows("select attempts, error_code from tide.dead_letter order by message_id")[:2] == [
        (2, "POLICY_VIOLATION"),
        (0, "MSG_SIZE_TOO_LARGE"),
    ]


def test_discarding_lets_what_waits_go(letters: Letters) -> None:
    a, b, c, *_ = letters.ids
    letters.add([a], [b, c])
    letters.rows(f"select * from tide.dlq_discard('p', array[{a}]::bigint[], 'broken', dry_run => true)")
    assert letters.states() == ["dead", "parked", "parked"]
    letters.rows(f"select * from tide.dlq_discard('p', array[{a}]::bigint[], 'broken')")
    assert letters.states() == ["discarded", "redriving", "redriving"]
    assert letters.rows("select reason, changed_by from tide.dead_letter where state = 'discarded'") == [
        ("broken", letters.connection.info.user)
    ]


def test_a_parked_one_can_be_discarded_too(letters: Letters) -> None:
    a, b, c, *_ = letters.ids
    letters.add([a], [b, c])
    letters.rows(f"select * from tide.dlq_discard('p', ids => array[{b}], reason => 'x')")
    assert letters.states() == ["dead", "discarded", "parked"]


@pytest.mark.parametrize(
    ("how", "chosen"),
    [
        ("key => 'k'", 5),
        ("key => 'other'", 0),
        ("error_code => 'MSG_SIZE_TOO_LARGE'", 5),
        ("error_class => 'destination'", 0),
        ("error_class => 'message'", 5),
        ("matching => '$ ? (@.n > 3)'", 2),
        ("key => 'k', matching => '$ ? (@.n > 3)'", 2),
        ("everything => true", 5),
    ],
)
def test_conditions_narrow_the_choice(letters: Letters, how: str, chosen: int) -> None:
    letters.add(letters.ids, parks=False)
    assert letters.plan(how) == ["redrive"] * chosen


def test_what_is_not_said_or_not_there_is_refused(letters: Letters) -> None:
    letters.add(letters.ids[:1])
    assert refused(letters, "select * from tide.dlq_redrive('p')").sqlstate == "TD060"
    missing = refused(letters, f"select * from tide.dlq_redrive('p', ids => array[{letters.ids[0]}, 7777])")
    assert (missing.sqlstate, "7777" in (missing.message_primary or "")) == ("TD061", True)
    assert refused(letters, "select * from tide.dlq_discard('p', everything => true)").sqlstate == "TD062"
    assert (
        refused(letters, "select * from tide.dlq_discard('p', reason => ' ', everything => true)").sqlstate
        == "TD062"
    )
    assert refused(letters, "select * from tide.dlq_redrive('q', everything => true)").sqlstate == "TD021"
    assert refused(letters, "select tide.relay_drop('p')").sqlstate == "TD063"


def test_what_dies_again_keeps_its_row(letters: Letters) -> None:
    a, b, *_ = letters.ids
    letters.add([a], [b])
    letters.add([], [a, b])  # a rewind: both come again, and their key is parked
    assert letters.states() == ["dead", "parked"]
    letters.plan("everything => true")
    letters.settle([a, b])
    letters.add([a], [b])
    assert letters.states() == ["dead", "parked"]
    assert letters.rows("select attempts from tide.dead_letter order by message_id") == [(2,), (0,)]


def test_retention_removes_what_is_closed_and_old(letters: Letters) -> None:
    a, b, c, *_ = letters.ids
    letters.add([a, b, c], parks=False)
    letters.rows(f"select * from tide.dlq_discard('p', array[{a}, {b}]::bigint[], 'x')")
    letters.connection.execute(
        "update tide.dead_letter set changed_at = changed_at - interval '15 days' where message_id <> %s", [b]
    )
    assert letters.rows("select * from tide.dlq_retention_run()") == [("p", 1)]
    assert letters.states() == ["discarded", "dead"]


def test_a_monitor_counts_and_reads_no_payload(letters: Letters, logins: Logins) -> None:
    letters.add(letters.ids)
    monitor, relay = logins.create(), logins.create()
    letters.connection.execute("select tide.role_grant('monitor', %s)", [monitor])
    letters.connection.execute("select tide.role_grant('relay', %s)", [relay])
    counted = logins.connect(monitor).execute("select messages, keys from tide.dead_letter_counts").fetchall()
    assert counted == [(5, 1)]
    for role, query in (
        (monitor, "select * from tide.dead_letters"),
        (monitor, "select * from tide.dlq_redrive('p', everything => true)"),
        (relay, "select * from tide.dlq_discard('p', everything => true, reason => 'x')"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            logins.connect(role).execute(query)  # type: ignore[arg-type]


def test_a_key_that_is_no_text_is_shown_as_bytes(letters: Letters) -> None:
    letters.add(letters.ids[:1], key=b"\xff\x00")
    assert letters.rows("select ordering_key from tide.dead_letters") == [("\\xff00",)]
