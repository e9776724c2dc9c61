"""What a window holds: everything that ended since the last one, whatever else is open, and each message once."""

import pytest

from database.reading import Scene, Session
from pg_tide_dev.databases import Database
from pg_tide_relay.cursor import NO_MAIN_PART


def published(scene: Scene, count: int = 1) -> list[int]:
    """Messages, each in a transaction of its own."""
    session = scene.session()
    return [session.publish(number) for number in range(count)]


def stragglers(scene: Scene, count: int) -> list[Session]:
    """Publishers with an open transaction and one message each."""
    sessions = [scene.begin() for _ in range(count)]
    for session in sessions:
        session.publish()
    return sessions


def test_an_unrelated_open_writer_delays_nothing(scene: Scene) -> None:
    """A transaction with an xid and no message may stay open for ever."""
    scene.begin().take_xid()
    relay = scene.relay()
    relay.acquire()
    for _ in range(3):
        ids = published(scene, 2)
        assert relay.drain() == ids


def test_a_writer_in_another_database_delays_nothing(scene: Scene, empty_database: Database) -> None:
    """Transaction ids are the whole cluster's; a writer elsewhere holds the cluster's xmin back, and no message."""
    with empty_database.connect() as elsewhere:
        (xid,) = elsewhere.execute("select pg_current_xact_id()::text::bigint").fetchone() or (0,)
        ids = published(scene, 2)
        relay = scene.relay()
        assert relay.drain() == ids
        assert int(scene.snapshot().split(":")[0]) <= xid
        elsewhere.rollback()


def test_a_prepared_transaction_delays_nothing(scene: Scene) -> None:
    """An orphan of a two-phase commit delays its own messages only."""
    orphan = scene.begin()
    held = orphan.publish()
    orphan.prepare(f"orphan of {scene.outbox_id}")
    relay = scene.relay()
    for _ in range(3):
        ids = published(scene, 2)
        assert relay.drain() == ids
    orphan.commit_prepared(f"orphan of {scene.outbox_id}")
    assert relay.drain() == [held]


def test_a_two_phase_commit_is_delivered_once_it_is_committed(scene: Scene) -> None:
    """Prepared is not committed; a rolled-back one is never seen."""
    sessions = [scene.begin(), scene.begin()]
    ids = [session.publish() for session in sessions]
    for number, session in enumerate(sessions):
        session.prepare(f"{number} of {scene.outbox_id}")
    relay = scene.relay()
    assert relay.drain() == []
    scene.admin.run(f"rollback prepared '1 of {scene.outbox_id}'")
    assert relay.drain() == []
    sessions[0].commit_prepared(f"0 of {scene.outbox_id}")
    assert relay.drain() == [ids[0]]


def test_rolled_back_messages_are_never_seen(scene: Scene) -> None:
    """They leave gaps in the ids, and gaps mean nothing."""
    relay = scene.relay()
    for _ in range(2):
        gone = scene.begin()
        gone.publish()
        gone.rollback()
        ids = published(scene)
        assert relay.drain() == ids


def test_messages_written_under_savepoints_are_delivered_with_their_transaction(scene: Scene) -> None:
    """Their physical xmin is a savepoint's xid, which no snapshot lists; the stored xid is the transaction's."""
    session = scene.begin()
    ids = [session.publish()]
    for name in ("a", "b"):
        session.savepoint(name)
        ids.append(session.publish())
    session.run("release savepoint b")
    relay = scene.relay()
    relay.acquire()
    between = published(scene)
    assert relay.drain() == between
    xmins = session.run(f"select xmin::text, xid::text from {scene.table} where id = any(%s)", [ids])
    assert len({xmin for xmin, _ in xmins}) > 1
    assert len({xid for _, xid in xmins}) == 1
    session.commit()
    assert relay.drain() == ids


def test_a_rolled_back_savepoint_takes_its_messages_with_it(scene: Scene) -> None:
    """What was published before and after it arrives."""
    session = scene.begin()
    kept = [session.publish()]
    session.savepoint("a")
    session.publish()
    session.rollback_to("a")
    kept.append(session.publish())
    session.commit()
    assert scene.relay().drain() == kept


def test_an_empty_window_is_thrown_away(scene: Scene) -> None:
    """Neither the position in memory nor the one in the database moves while there is nothing to read."""
    relay = scene.relay()
    published(scene)
    relay.drain()
    position, row = relay.at, scene.cursor()
    scene.burn(3)
    assert not relay.open_window()
    assert relay.at == position
    assert scene.cursor() == row


def test_a_window_may_hold_stragglers_only(scene: Scene) -> None:
    """No message began after prev: the window has no main part, and the stragglers' ids lie below what was sent."""
    late = stragglers(scene, 2)
    relay = scene.relay()
    later = published(scene, 2)
    assert relay.drain() == later
    for session in late:
        session.commit()
    assert relay.open_window()
    assert relay.at.first_id == NO_MAIN_PART
    assert relay.drain() == [later[0] - 2, later[0] - 1]


def test_a_straggler_that_rolls_back_opens_no_window(scene: Scene) -> None:
    """That a transaction of prev has ended is no message."""
    (late,) = stragglers(scene, 1)
    relay = scene.relay()
    published(scene)
    relay.drain()
    late.rollback()
    assert not relay.open_window()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_stragglers_are_merged_in_id_order_over_page_boundaries(scene: Scene, size: int) -> None:
    """Interleaved with messages that began after prev, whatever the size of a page, also after a crash."""
    late = stragglers(scene, 3)
    relay = scene.relay(size=size)
    relay.drain()
    done = published(scene)
    assert relay.drain() == done
    expected = []
    for session in late:
        expected += [session.publish(), *published(scene)]
        session.commit()
    expected = [*range(done[0] - 3, done[0]), *expected]
    assert relay.page() == expected[:size]
    relay.settle()
    relay = scene.crash(relay)
    ids = []
    while page := relay.page():
        assert page == sorted(page)
        ids += page
        relay.settle()
    assert ids == expected[size:]


def test_a_straggler_that_commits_during_a_window_waits_for_the_next_one(scene: Scene) -> None:
    """A page shows what is visible in cur, not what is visible now: order across windows depends on it."""
    (late,) = stragglers(scene, 1)
    relay = scene.relay(size=1)
    done = published(scene)
    relay.drain()
    ids = published(scene, 2)
    assert relay.page() == ids[:1]
    late.commit()
    after = published(scene)
    assert relay.drain() == [ids[1], done[0] - 1, *after]
    assert relay.at.cur is None


@pytest.mark.parametrize("pages", [1, 2])
def test_a_window_that_ends_with_a_full_page_ends_with_an_empty_one(scene: Scene, pages: int) -> None:
    """Whether a full page was the last is known from the next; the end of the window is settled with it."""
    relay = scene.relay(size=3)
    ids = published(scene, 3 * pages)
    relay.acquire()
    for number in range(pages):
        assert relay.page() == ids[3 * number : 3 * number + 3]
    assert relay.is_reading
    assert relay.fetch().rows == []
    relay.settle()
    row = scene.cursor()
    assert (row["cur"], row["first_id"], row["last_id"]) == (None, None, 0)
    assert not relay.open_window()


def test_an_outbox_is_read_without_the_messages_of_another(scene: Scene) -> None:
    """Ids are shared by all outboxes, messages are not."""
    with Scene(scene.dsn, outbox="invoices") as other:
        ids = {scene: list[int](), other: list[int]()}
        for _ in range(3):
            for at in ids:
                ids[at] += published(at)
        for at, expected in ids.items():
            assert at.relay().drain() == expected


def test_a_crash_before_the_settle_repeats_the_window(scene: Scene) -> None:
    """The same messages, with what committed meanwhile behind them."""
    relay = scene.relay()
    ids = published(scene, 3)
    relay.acquire()
    assert relay.page() == ids
    relay = scene.crash(relay)
    more = published(scene)
    assert relay.drain() == ids + more
