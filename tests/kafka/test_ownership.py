"""Several relays on one database: one owner per pipeline, who takes over when, and what an old owner may still do."""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fix_kafka import NewKafka, ReadTopic
from fix_relay import Relay, StartRelay
from relay_kit import Tide, difference, first_occurrences, ids, lowest_repeated
from waiting import eventually, for_all_of

IN_FLIGHT_MAX = 8 * 100  # batches that a pipeline keeps in flight, and their size
CHANGED = "cursor_changed"
LEASE_MS = 2_000
TIMEOUT_MS = 1_000


def start(start_relay: StartRelay, tide: Tide, relay_id: str, lease_ms: int = LEASE_MS) -> Relay:
    """A relay of this name, with a short lease; returns when it is in tide.relays."""
    relay = start_relay(tide.dsn, "--relay-id", relay_id, "--lease-ms", str(lease_ms))
    relay.wait_for(
        lambda: tide.rows("select from tide.relays where relay_id = %s and ended_at is null", relay_id)
    )
    return relay


def owners(tide: Tide) -> dict[str, str | None]:
    """Owner by pipeline."""
    return {row.pipeline: row.owner for row in tide.rows("select pipeline, owner from tide.pipelines")}


def until_owned_by(tide: Tide, relay_id: str, within: float = 30.0) -> None:
    eventually(lambda: set(owners(tide).values()) == {relay_id}, within=within, why=lambda: owners(tide))


def test_one_relay_owns_a_pipeline_and_the_other_takes_over_at_once_when_it_goes(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A minute's lease does not matter to who signed off: nothing is lost, nothing sent twice."""
    tide.outbox()
    tide.pipeline(topic)
    first = start(start_relay, tide, "first", lease_ms=60_000)
    until_owned_by(tide, "first")
    second = start(start_relay, tide, "second", lease_ms=60_000)
    assert dict(tide.rows("select relay_id, state from tide.relays")) == {
        "first": "owner",
        "second": "standby",
    }
    published = tide.publish_many(5_000, key="one")
    eventually(lambda: tide.pending() < 5_000)
    assert first.terminate() == 0
    until_owned_by(tide, "second", within=10)
    published += tide.publish_many(100, key="one")
    tide.until_settled()
    assert difference(ids(read_topic(topic, len(published))), published) == ""
    assert tide.value("select take_overs = '{}' from tide.relays where relay_id = 'second'")
    assert dict(tide.rows("select relay_id, state from tide.relays")) == {"first": "ended", "second": "owner"}
    assert second.lines("pipeline_acquired", epoch=2)


def test_many_pipelines_have_one_owner_each(tide: Tide, topic: str, start_relay: StartRelay) -> None:
    """Two relays that start together share twelve pipelines; each of them delivers."""
    tide.outbox()
    names = [tide.pipeline(topic, name=f"pipeline-{number:02}") for number in range(12)]
    relays = [start_relay(tide.dsn, "--relay-id", name) for name in ("a", "b")]
    tide.publish()
    tide.until_settled(*names)
    eventually(lambda: Counter(owners(tide).values()) == {"a": 6, "b": 6}, why=lambda: owners(tide))
    acquired = [line["pipeline"] for relay in relays for line in relay.lines("pipeline_acquired")]
    given = [line["pipeline"] for relay in relays for line in relay.lines("pipeline_given_back")]
    assert sorted(acquired) == sorted(names + given)
    assert tide.value("select array_agg(p order by p) from tide.relays, unnest(pipelines) p") == names


def test_a_killed_owner_is_followed_after_its_lease_and_request_timeout(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Not earlier, by the database's clock, and soon after; the take-over is shown; nothing lost or out of order."""
    tide.outbox()
    tide.pipeline(topic, request_timeout_ms=TIMEOUT_MS)
    first = start(start_relay, tide, "first")
    until_owned_by(tide, "first")
    start(start_relay, tide, "second")
    published = tide.publish_many(30_000, key="one")
    eventually(lambda: tide.pending() < 30_000)
    settled = tide.cursor_row().last_id
    first.kill()
    lease_until = tide.cursor_row().lease_until
    until_owned_by(tide, "second")
    published += tide.publish_many(10, key="one")
    tide.until_settled()
    row = tide.cursor_row()
    waited_s = (row.taken_over_at - lease_until).total_seconds()
    assert TIMEOUT_MS / 1000 <= waited_s < TIMEOUT_MS / 1000 + 3
    assert row.taken_over_from == "first"
    (shown,) = tide.value("select take_overs from tide.relays where relay_id = 'second'")
    assert shown.startswith("orders-to-kafka from first at ")
    found = ids(read_topic(topic, len(published)))
    assert difference(first_occurrences(found), published) == ""
    assert lowest_repeated(found) > settled


def test_an_owner_that_slept_past_its_lease_hands_over_nothing_more(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Stopped in the middle of a backlog. After it wakes only what the client had already may follow; it stands by,
    and can take over again."""
    tide.outbox()
    tide.pipeline(topic, request_timeout_ms=TIMEOUT_MS)
    sleeper = start(start_relay, tide, "sleeper")
    until_owned_by(tide, "sleeper")
    other = start(start_relay, tide, "other")
    published = tide.publish_many(20_000, key="one")
    eventually(lambda: tide.pending() < 20_000)
    sleeper.pause()
    assert 0 < tide.pending() < 20_000
    until_owned_by(tide, "other")
    tide.until_settled()
    before = len(read_topic(topic))
    sleeper.resume()
    sleeper.wait_for(lambda: sleeper.lines("lease_ran_out") or sleeper.lines(CHANGED))
    published += tide.publish_many(100, key="one")
    tide.until_settled()
    for_all_of(1.0, lambda: owners(tide) == {"orders-to-kafka": "other"})
    found = ids(read_topic(topic, len(published)))
    assert len(found) - before - 100 <= IN_FLIGHT_MAX
    assert difference(first_occurrences(found), published) == ""
    other.kill()
    until_owned_by(tide, "sleeper")
    published += tide.publish_many(10, key="one")
    tide.until_settled()
    assert difference(first_occurrences(ids(read_topic(topic))), published) == ""


@contextmanager
def frozen(pids: Sequence[int]) -> Iterator[None]:
    """Processes of this machine that do nothing meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_an_owner_that_cannot_renew_its_lease_stops_in_time_by_its_own_clock(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The database answers its reading connection and not its writing one: it could go on sending, and must not."""
    tide.outbox()
    tide.pipeline(topic, request_timeout_ms=5_000)
    start(start_relay, tide, "stuck")
    until_owned_by(tide, "stuck")
    tide.publish()
    tide.until_settled()
    query = "select pid from pg_stat_activity where application_name = 'pg-tide stuck writes'"
    with frozen([tide.value(query)]):
        sent = tide.publish()  # within the lease: delivered, though nobody can settle it
        assert sent in ids(read_topic(topic, 2))
        eventually(lambda: tide.value("select lease_until < clock_timestamp() from tide.cursor"))
        kept = tide.publish()
        for_all_of(1.5, lambda: kept not in ids(read_topic(topic)))
        start(start_relay, tide, "other")
        until_owned_by(tide, "other")
        assert kept in ids(read_topic(topic, 3))
    tide.until_settled()


def test_a_lease_lost_while_messages_are_in_flight_is_won_back_and_nothing_is_lost(
    tide: Tide, new_kafka: NewKafka, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Somebody else takes the cursor while the broker is silent, settles nothing and vanishes."""
    broker = new_kafka()
    tide.bootstrap = broker.bootstrap
    tide.outbox()
    tide.pipeline("orders", request_timeout_ms=TIMEOUT_MS)
    relay = start(start_relay, tide, "relay")
    published = tide.publish_many(10, key="one")
    tide.until_settled()
    broker.pause_node(1)
    published += tide.publish_many(10, key="one")
    tide.until_state("backing_off")
    stolen = tide.value(
        "update tide.cursor set owner_token = gen_random_uuid(), owner = 'thief', epoch = epoch + 1,"
        " lease_until = clock_timestamp() + interval '1 s', stamp = pg_current_xact_id()::xid returning epoch"
    )
    relay.wait_for(CHANGED)
    broker.resume_node(1)
    until_owned_by(tide, "relay")
    published += tide.publish_many(10, key="one")
    tide.until_settled()
    assert relay.lines("pipeline_acquired", epoch=stolen + 1)
    assert (
        difference(first_occurrences(ids(read_topic("orders", 30, bootstrap=broker.bootstrap))), published)
        == ""
    )


def test_two_relays_of_one_name_are_told_apart(tide: Tide, topic: str, start_relay: StartRelay) -> None:
    """The second says so and stands by all the same: a name is for people, a token decides."""
    tide.outbox()
    tide.pipeline(topic)
    start(start_relay, tide, "same")
    until_owned_by(tide, "same")
    epoch = tide.cursor_row().epoch
    double = start_relay(tide.dsn, "--relay-id", "same", "--lease-ms", str(LEASE_MS))
    double.wait_for("another living relay goes by the same id; tide.relays shows only one of them")
    tide.publish()
    tide.until_settled()
    for_all_of(1.5, lambda: tide.cursor_row().epoch == epoch)
