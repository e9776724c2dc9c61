"""Replays in SQL: what is chosen, what was delivered, what is refused, and where the owner's answers lead."""

from collections.abc import Iterator

import psycopg
import pytest

from fix_sql import CONFIG, OWNER, Connect, Logins, Ring
from replaying import Replays


@pytest.fixture
def replays(ring: Ring) -> Iterator[Replays]:
    return Replays(ring)


def refused(replays: Replays, query: str) -> psycopg.errors.Diagnostic:
    with pytest.raises(psycopg.Error) as caught:
        replays.rows(query)
    assert caught.value.diag.message_hint
    return caught.value.diag


CHOICES = {
    "key => 'odd'": [1, 3, 5],
    "key => 'nobody'": [],
    "from_id => {3}": [3, 4, 5],
    "to_id => {1}": [0, 1],
    "from_id => {1}, to_id => {3}, key => 'even'": [2],
    "ids => array[{4}, {0}, {4}]": [0, 4],
    "matching => '$ ? (@.n > 3)'": [4, 5],
    "from_time => '-infinity', to_time => 'infinity'": [0, 1, 2, 3, 4, 5],
    "to_time => '-infinity'": [],
    "everything => true": [0, 1, 2, 3, 4, 5],
}


def test_conditions_choose_and_narrow_and_the_pages_bring_what_was_counted(replays: Replays) -> None:
    for how, chosen in CHOICES.items():
        asked, expected = how.format(*replays.ids), [replays.ids[n] for n in chosen]
        ends = (expected[0], expected[-1]) if expected else (None, None)
        assert replays.ask(f"{asked}, dry_run => true") == (None, len(expected), 0, 0, *ends), how
        assert replays.rows("select from tide.replays where ended_at is null") == []
        number, *rest = replays.ask(asked)
        assert tuple(rest) == (len(expected), 0, 0, *ends), how
        if not expected:
            assert replays.begin() == (0, None)
            assert replays.row(number, "state") == ("done",)
            continue
        assert replays.begin() == (number, expected[0] - 1), how
        assert replays.page(number)[1] == expected, how
        replays.rows("select tide.replay_cancel(%s)", number)


def test_a_key_is_the_dedup_key_of_messages_without_one(replays: Replays) -> None:
    """As the record's key is."""
    replays.rows(
        "select tide.outbox_publish('orders', '{}', 'odd'), tide.outbox_publish('orders', '{}', 'odd', key => 'k')"
    )
    replays.deliver()
    assert replays.ask("key => 'odd'")[1] == 4


def test_what_was_not_delivered_when_it_was_asked_for_is_left_out_for_ever(
    replays: Replays, connect: Connect
) -> None:
    """Messages before the cursor, and those of a transaction that is still open, whatever their ids."""
    late = connect()
    late.execute("begin")
    late.execute("select tide.outbox_publish('orders', '{}')")
    before = replays.publish(7)
    replays.deliver()
    late.execute("commit")
    waiting = replays.publish(8)
    number, selected, left_out, gone, oldest, newest = replays.ask()
    assert (selected, left_out, gone, oldest, newest) == (9, 2, 0, replays.ids[0], before)
    replays.deliver()
    replays.begin()
    assert replays.page(number) == (before, [*replays.ids, before], [False] * 7)
    assert waiting > before
    replays.settle(number, before, 7, what="done")
    assert replays.row(number, "state, sent, left_out, gone") == ("done", 7, 2, 0)


def test_what_is_settled_of_an_open_window_was_delivered_and_in_a_replay_pass_only_what_it_passed(
    replays: Replays,
) -> None:
    a, b = replays.publish(7), replays.publish(8)
    replays.rows(
        "update tide.cursor set cur = pg_current_snapshot(), first_id = %s, last_id = %s,"
        " window_token = gen_random_uuid(), stamp = pg_current_xact_id()::xid returning 1",
        a,
        a,
    )
    assert replays.ask(f"from_id => {a}, dry_run => true") == (None, 2, 1, 0, a, a)
    replays.rows("select tide.group_rebase('g', 'orders', %s)", replays.ids[3])
    assert replays.ask("everything => true, dry_run => true") == (
        None,
        8,
        5,
        0,
        replays.ids[0],
        replays.ids[2],
    )
    assert b > a


def test_unknown_ids_and_what_retention_drops_meanwhile_are_gone(delivered: Ring) -> None:
    """Slot 0 holds what the first replay may send; then it is emptied."""
    delivered.publish("new")
    delivered.deliver("g")
    (old, new) = (int(delivered.value(f"select {which}(id) from tide.message")) for which in ("min", "max"))
    ((number, selected, gone),) = delivered.connection.execute(
        "select replay_id, selected, gone from tide.replay('g', ids => %s)", [[old, new, 777, 778]]
    ).fetchall()
    assert (selected, gone) == (4, 2)
    assert ("emptied", None) in [(action, reason) for _, action, reason in delivered.retention(49)]
    epoch = delivered.value("select epoch from tide.cursor")
    delivered.value("select replay_id from tide._replay_begin(1, 1, 0, %s, %s, 'r')", OWNER, epoch)
    rows = delivered.connection.execute(
        "select id from tide._replay_page(%s, 0, 10, 1000, 10)", [number]
    ).fetchall()
    assert rows == [(new,)]
    delivered.value(
        "select state from tide._replay_settle(%s, 1, 0, %s, %s, %s, 1, 0, 0, 0, null, null, 'done', null, null, null,"
        " null)",
        number,
        OWNER,
        epoch,
        new,
    )
    row = delivered.connection.execute("select state, selected, sent, gone from tide.replays").fetchall()
    assert row == [("done", 4, 1, 3)]


def test_a_page_is_bounded_by_messages_by_bytes_and_by_what_it_looks_at(replays: Replays) -> None:
    ids = replays.ids
    for how in ("everything => true", f"ids => array[{', '.join(map(str, ids))}, 999]"):
        number, *_ = replays.ask(how)
        assert replays.page(number, size=2) == (ids[1], ids[:2], [False] * 2)
        assert replays.page(number, ids[1], size=4) == (ids[5], ids[2:], [False] * 4)
        assert replays.page(number, bytes_=1) == (ids[0], ids[:1], [False])
        assert replays.page(number, reach=3) == (ids[2], ids[:3], [False] * 3)
        assert replays.page(number, ids[5]) == (ids[5], [], [])
    sparse, *_ = replays.ask(f"matching => '$ ? (@.n == 5)', ids => array[{ids[0]}, {ids[5]}]")
    assert replays.page(sparse, reach=1) == (ids[0], [], [])
    assert replays.page(99) == (None, [], [])


def test_a_dead_letter_is_known_as_one_while_it_waits(replays: Replays) -> None:
    replays.connection.execute(
        "insert into tide.dead_letter (pipeline_id, message_id, created_at, state, parks, op, attempts, version)"
        " select 1, id, created_at, case when n = 1 then 'dead' else 'redriven' end, false, 'insert', 1, 1"
        " from (select *, row_number() over (order by id) n from tide.message where id = any (%s)) m",
        [replays.ids[1:3]],
    )
    number, selected, left_out, *_ = replays.ask()
    assert (selected, left_out) == (6, 1)
    replays.begin()
    assert replays.page(number)[2] == [False, True, False, False, False, False]


def test_only_the_owner_begins_and_settles_and_nobody_is_waited_for(
    replays: Replays, connect: Connect
) -> None:
    number, *_ = replays.ask()
    replays.epoch += 1
    assert replays.begin() is None
    replays.epoch -= 1
    assert replays.begin() == (number, replays.ids[0] - 1)
    replays.epoch += 1
    assert replays.settle(number, replays.ids[0], 1) == "not the owner"
    assert replays.row(number, "sent, position") == (0, replays.ids[0] - 1)
    replays.epoch -= 1
    admin = connect()
    for holds in ("tide.cursor", "tide.replay_request"):
        admin.execute("begin")
        admin.execute(f"select from {holds} for update")  # type: ignore[arg-type]
        assert replays.settle(number, replays.ids[0], 1) is None
        assert replays.begin() == (None, None)
        admin.execute("rollback")
    assert replays.settle(99, replays.ids[0], 1) == "not the owner"


def test_progress_adds_up_and_the_first_error_stays(replays: Replays) -> None:
    number, *_ = replays.ask()
    assert replays.row(number, "state, relay, error, cure") == ("waiting", None, None, None)
    replays.begin()
    assert replays.settle(number, replays.ids[1], 1, failed=1, error="first") == "running"
    assert replays.settle(number, replays.ids[3], 1, failed=1, error="second") == "running"
    assert replays.row(number, "state, relay, sent, failed, first_error, position") == (
        "running",
        "r",
        2,
        2,
        "first",
        replays.ids[3],
    )
    assert replays.begin() == (number, replays.ids[3])
    assert replays.settle(number, replays.ids[5], 2, what="done") == "done"
    assert replays.row(number, "state, selected, sent, failed, gone, relay") == ("done", 6, 4, 2, 0, None)
    assert replays.begin() == (0, None)


def test_replays_of_a_pipeline_wait_for_each_other(replays: Replays) -> None:
    first, second = replays.ask()[0], replays.ask("key => 'odd'")[0]
    assert replays.begin() == (first, replays.ids[0] - 1)
    assert replays.row(second, "state, error") == ("waiting", f"replay {first} of the pipeline comes first")
    replays.rows("select tide.replay_cancel(%s, 'no more')", first)
    assert replays.row(first, "state, reason, ended_by") == (
        "cancelled",
        "no more",
        replays.connection.info.user,
    )
    assert replays.begin() == (second, replays.ids[1] - 1)
    # What was on its way is still told, and does not bring it back.
    assert replays.settle(first, replays.ids[0], 1, what="done") == "cancelled"
    assert replays.row(first, "state, sent, gone") == ("cancelled", 1, 0)


def test_the_view_says_why_a_replay_does_not_run(replays: Replays) -> None:
    number, *_ = replays.ask()
    replays.begin()
    replays.rows("select tide._cursor_release(1, 0, %s, %s)", OWNER, replays.epoch)
    state, error, cure = replays.row(number, "state, error, cure")
    assert (state, error, "pg-tide run" in cure) == ("waiting", "no relay runs pipeline 'p'", True)
    replays.rows("select tide.relay_disable('p')")
    assert replays.row(number, "error, cure") == (
        "pipeline 'p' is disabled",
        "select tide.relay_enable('p');",
    )
    notices: list[str | None] = []
    replays.connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    replays.ask()
    assert notices == ["pipeline 'p' is disabled: the replay begins once it is enabled"]


NONSENSE = [
    ("", "TD064", "nothing says which messages"),
    ("everything => null", "TD064", "nothing says which messages"),
    ("from_id => 3, to_id => 2", "TD065", "from_id 3 is above to_id 2"),
    ("from_time => 'infinity', to_time => 'infinity'", "TD065", "is not before"),
    ("everything => true, max_messages_per_second => 0", "TD065", "max_messages_per_second is 0"),
    ("everything => true, to_topic => ''", "TD065", "to_topic"),
    ("everything => true, to_topic => 'a b'", "TD065", "to_topic character 2"),
    ("everything => true, to_topic => '{nothing}'", "TD065", "to_topic unknown placeholder {nothing}"),
    ("everything => true, headers => '[]'", "TD065", "not array"),
    ("everything => true, headers => '{\"n\": 1}'", "TD065", "header 'n' is not a string but number"),
    ('everything => true, headers => \'{"": ""}\'', "TD065", "a header name is empty"),
    ('everything => true, headers => \'{"pg_tide_replay": "7"}\'', "TD065", "is reserved"),
]


def test_what_makes_no_sense_is_refused_in_earnest_and_dry(replays: Replays) -> None:
    for how, state, part in NONSENSE:
        for arguments in (how, f"{how}, dry_run => true".removeprefix(", ")):
            said = refused(replays, f"select * from tide.replay('p', {arguments})".replace(", )", ")"))
            assert (said.sqlstate, part in (said.message_primary or "")) == (state, True), (
                said.message_primary
            )
    assert replays.rows("select from tide.replay_request") == []


def test_pipelines_and_replays_that_are_not_there_or_at_their_end_are_refused(replays: Replays) -> None:
    assert refused(replays, "select * from tide.replay('q', everything => true)").sqlstate == "TD021"
    assert refused(replays, "select tide.replay_cancel(99)").sqlstate == "TD066"
    assert refused(replays, "select tide.replay_cancel(null)").sqlstate == "TD066"
    number, *_ = replays.ask("key => 'nobody'")
    assert refused(replays, f"select tide.replay_cancel({number})").sqlstate == "TD067"


def test_a_rebase_fails_what_is_open_because_what_was_delivered_is_not_known_any_more(
    replays: Replays,
) -> None:
    """After a dump and restore nobody owns the cursor before it: the copy of a request can send nothing."""
    number, *_ = replays.ask()
    replays.connection.execute("update tide.cursor set stamp = '7'")
    assert refused(replays, "select * from tide.replay('p', everything => true)").sqlstate == "TD032"
    replays.rows("select tide.group_rebase('g', 'orders')")
    assert replays.row(number, "state, error_code") == ("failed", "TD032")
    assert "Ask for it again" in replays.row(number, "cure")[0]
    assert replays.begin() is None
    replays.epoch = replays.acquire()
    assert replays.begin() == (0, None)


def test_a_pipeline_that_drives_another_group_does_not_run_what_was_asked_of_the_first(
    replays: Replays,
) -> None:
    """The other group may have delivered nothing yet."""
    number, *_ = replays.ask()
    replays.rows("select tide.relay_set_outbox('p', 'orders', 'other', %s)", CONFIG)
    epoch = replays.ring.value("select epoch from tide._cursor_acquire(2, 0, %s, 'r', 60000, 0)", OWNER)
    assert replays.rows("select replay_id from tide._replay_begin(1, 2, 0, %s, %s, 'r')", OWNER, epoch) == [
        (0,)
    ]
    assert replays.row(number, "state, error_code") == ("failed", "TD023")


def test_what_ended_long_ago_is_forgotten_with_the_next_request(replays: Replays) -> None:
    old, open_one = replays.ask("key => 'nobody'")[0], replays.ask()[0]
    replays.connection.execute(
        "update tide.replay_request set ended_at = ended_at - interval '31 days', requested_at = '2020-01-01'"
    )
    new = replays.ask("key => 'nobody'")[0]
    assert replays.rows("select replay_id from tide.replays order by 1") == [(open_one,), (new,)]
    assert old < open_one


def test_administrators_ask_and_cancel_relays_run_monitors_look(replays: Replays, logins: Logins) -> None:
    roles = {kind: logins.create() for kind in ("admin", "relay", "monitor")}
    for kind, role in roles.items():
        replays.connection.execute("select tide.role_grant(%s, %s)", [kind, role])
    admin = logins.connect(roles["admin"])
    number = admin.execute("select replay_id from tide.replay('p', everything => true)").fetchone()
    assert number is not None
    for role in roles.values():
        asked_by = logins.connect(role).execute("select requested_by from tide.replays").fetchall()
        assert asked_by == [(roles["admin"],)]
    relay = logins.connect(roles["relay"])
    assert relay.execute(
        "select from tide._replay_begin(1, 1, 0, %s, %s, 'r')", [OWNER, replays.epoch]
    ).fetchall()
    assert relay.execute("select from tide._replay_page(1, 0, 1, 1, 1)").fetchall()
    admin.execute("select tide.replay_cancel(%s)", number)
    for kind, query in (
        ("relay", "select tide.replay_cancel(1)"),
        ("relay", "select * from tide.replay('p', everything => true)"),
        ("monitor", "select * from tide.replay('p', everything => true)"),
        ("monitor", "select * from tide._replay_page(1, 0, 1, 1, 1)"),
        ("admin", "select * from tide._replay_page(1, 0, 1, 1, 1)"),
        ("admin", "update tide.replay_request set state = 'waiting'"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            logins.connect(roles[kind]).execute(query)  # type: ignore[arg-type]
