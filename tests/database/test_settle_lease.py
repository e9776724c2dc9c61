"""Who owns a cursor: one relay at a time, until a time of the server's clock, and never two."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.sql import SQL

from database.reading import Relay, Scene
from fix_postgres import NewPostgres, install_schema
from pg_tide_relay.settle import Acquired, NotAcquired, NotOwnerError
from waiting import eventually

LEASE_MS = 30_000
TAKEOVER_MS = 10_000


def relay_of(scene: Scene, name: str) -> Relay:
    return scene.relay(name=name, lease_ms=LEASE_MS, takeover_ms=TAKEOVER_MS)


def let_pass(scene: Scene, milliseconds: int) -> None:
    """Move the lease back, as if that much time had passed."""
    scene.admin.run(
        "update tide.cursor set lease_until = lease_until - %s * interval '1 ms',"
        " stamp = pg_current_xact_id()::xid where group_id = %s",
        [milliseconds, scene.group_id],
    )


def test_a_cursor_that_nobody_owns_is_had_at_once(scene: Scene) -> None:
    """The lease ends on the server's clock, its length after now."""
    relay = relay_of(scene, "a")
    assert relay.acquire().epoch == 1
    (row,) = scene.admin.run(
        "select lease_until - clock_timestamp() between interval '25 s' and interval '30 s' from tide.cursor"
    )
    assert row == (True,)
    assert scene.cursor()["owner"] == "a"


def test_an_owned_cursor_is_refused_and_the_owner_is_named(scene: Scene) -> None:
    """A second relay learns who owns it and until when; nothing is wrong with the cursor."""
    relay_of(scene, "a").acquire()
    answer = relay_of(scene, "b").ask()
    assert isinstance(answer, NotAcquired)
    assert (answer.doubt, answer.owner) == (None, "a")
    assert answer.lease_until is not None


def test_the_owner_may_ask_again_and_gets_a_new_epoch(scene: Scene) -> None:
    """It does so after it has forgotten what it remembered; settles of before are refused from then on."""
    relay = relay_of(scene, "a")
    relay.acquire()
    owned = relay.owned
    assert relay.acquire().epoch == 2
    relay.owned = owned
    with pytest.raises(NotOwnerError):
        relay.settle()


def test_a_successor_waits_for_the_lease_and_the_requests_of_an_owner_that_did_not_sign_off(
    scene: Scene,
) -> None:
    """Lease and request timeout are the owner's, not the successor's; the take-over is written down."""
    relay_of(scene, "a").acquire()
    successor = scene.relay(name="b", lease_ms=1, takeover_ms=0)
    let_pass(scene, LEASE_MS)
    assert isinstance(successor.ask(), NotAcquired)
    let_pass(scene, TAKEOVER_MS - 5_000)
    assert isinstance(successor.ask(), NotAcquired)
    let_pass(scene, 5_000)
    answer = successor.ask()
    assert isinstance(answer, Acquired)
    assert (answer.epoch, answer.taken_over_from) == (2, "a")
    assert answer.taken_over_at is not None


def test_a_successor_of_an_owner_that_signed_off_need_not_wait(scene: Scene) -> None:
    """Everything the owner had sent was answered; that is no take-over."""
    relay = relay_of(scene, "a")
    relay.acquire()
    relay.release()
    answer = relay_of(scene, "b").acquire()
    assert (answer.epoch, answer.taken_over_from, answer.taken_over_at) == (2, None, None)


def test_the_epoch_fences_the_old_owner(scene: Scene) -> None:
    """After a take-over it settles nothing, renews nothing and releases nothing."""
    scene.admin.publish()
    old, new = relay_of(scene, "a"), relay_of(scene, "b")
    old.acquire()
    old.page()
    let_pass(scene, LEASE_MS + TAKEOVER_MS)
    new.acquire()
    before = scene.cursor()
    for refused in (old.settle, old.renew):
        with pytest.raises(NotOwnerError):
            refused()
    old.release()
    assert scene.cursor() == before
    new.page()
    new.settle()
    new.renew()


def test_a_renewal_prolongs_the_lease_and_nothing_else(scene: Scene) -> None:
    """The epoch stays: settles under way are good."""
    relay = relay_of(scene, "a")
    relay.acquire()
    let_pass(scene, 20_000)
    before = scene.cursor()
    relay.renew()
    after = scene.cursor()
    assert {column for column in after if after[column] != before[column]} == {"lease_until", "stamp"}
    assert after["lease_until"] > before["lease_until"]
    assert isinstance(relay_of(scene, "b").ask(), NotAcquired)


@pytest.mark.parametrize("ways", ["free", "lapsed"])
def test_of_many_relays_that_ask_at_once_one_gets_the_cursor(scene: Scene, ways: str) -> None:
    """They queue at the row, and all but the first find it taken."""
    if ways == "lapsed":
        relay_of(scene, "gone").acquire()
        let_pass(scene, LEASE_MS + TAKEOVER_MS)
    relays = [relay_of(scene, f"relay {number}") for number in range(6)]
    with ThreadPoolExecutor(len(relays)) as threads:
        answers = list(threads.map(lambda relay: relay.ask(), relays))
    owners = [relay for relay, answer in zip(relays, answers, strict=True) if isinstance(answer, Acquired)]
    assert len(owners) == 1
    assert scene.cursor()["owner"] == owners[0].claim.relay_id


@pytest.mark.parametrize(
    "statement",
    [
        "select tide.group_rewind('g', 'orders', to_id => 0)",
        "select tide.group_skip('g', 'orders')",
        "select tide.group_rebase('g', 'orders')",
    ],
    ids=["rewind", "skip", "rebase"],
)
def test_an_administrators_move_leaves_the_cursor_with_its_owner(scene: Scene, statement: str) -> None:
    """The owner has messages in flight and goes on handing over until it hears of the move.

    A second relay that got the cursor meanwhile would send newer messages before the older ones have landed.
    """
    owner = relay_of(scene, "a")
    owner.acquire()
    scene.admin.run(statement)
    assert isinstance(relay_of(scene, "b").ask(), NotAcquired)
    assert owner.acquire().epoch == 3


@pytest.mark.parametrize("major", [15, 18], ids=lambda major: f"pg{major}")
def test_a_crash_of_the_server_does_not_take_an_acquisition_back(
    new_postgres: NewPostgres, major: int
) -> None:
    """Ownership commits synchronously even where the default is not to: an epoch is never given twice."""
    server = new_postgres(
        major, durable=True, settings={"synchronous_commit": "off", "wal_writer_delay": "10s"}
    )
    install_schema(server.dsn())
    with Scene(server.dsn()) as scene:
        relay_of(scene, "a").acquire()
        relay_of(scene, "b")
        let_pass(scene, LEASE_MS + TAKEOVER_MS)
        assert relay_of(scene, "b").acquire().epoch == 2
        scene.close()
        server.kill()
        server.start()
        scene.admin = scene.session()
        row = scene.cursor()
        assert (row["epoch"], row["owner"], row["taken_over_from"]) == (2, "b", "a")


@pytest.mark.parametrize("job", ["_cursor_settle", "_cursor_renew"])
def test_a_relay_that_freezes_in_a_transaction_does_not_hold_the_cursor_for_long(
    scene: Scene, job: str
) -> None:
    """The server ends its session: a successor goes on, and so does whoever changes the configuration."""
    relay = relay_of(scene, "a")
    relay.acquire()
    owned = relay.owned
    assert owned is not None
    calls = {
        "_cursor_settle": "(%(group)s, 0, %(token)s, %(epoch)s, 1, tide._timeline(), 0, null, null)",
        "_cursor_renew": "(array[%(group)s], array[0], %(token)s, array[%(epoch)s]::bigint[], 30000)",
    }
    values = {"group": scene.group_id, "token": owned.token, "epoch": owned.epoch}
    with psycopg.connect(scene.dsn) as frozen:
        frozen.execute(SQL(f"select tide.{job}{calls[job]}"), values)  # type: ignore[arg-type]
        with pytest.raises(psycopg.errors.LockNotAvailable):
            scene.admin.run("select from tide.cursor for update nowait")
        eventually(lambda: scene.admin.run("select 1 from tide.cursor for update skip locked"), within=15.0)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            frozen.execute("select 1")
