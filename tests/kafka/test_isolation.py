"""What is wrong with one pipeline's tables or rights is that pipeline's alone: the relay's one look serves many."""

from collections.abc import Iterator

import psycopg
import pytest

from fix_kafka import MakeTopic
from fix_relay import StartRelay
from relay_kit import FAST, Tide
from waiting import eventually


@pytest.fixture
def limited_dsn(tide: Tide) -> Iterator[str]:
    """A role that may run relays and nothing else; its connection string."""
    tide.connection.execute("create role limited_relay login password 'a-password'")
    tide.value("select tide.role_grant('relay', 'limited_relay')")
    info = tide.connection.info
    yield f"postgresql://limited_relay:a-password@{info.host}:{info.port}/{info.dbname}"
    tide.connection.execute("drop owned by limited_relay")
    tide.connection.execute("drop role limited_relay")


def test_a_right_that_one_pipeline_lost_stops_it_alone_and_it_goes_on_when_it_is_back(
    tide: Tide, make_topic: MakeTopic, limited_dsn: str, start_relay: StartRelay
) -> None:
    """Idle pipelines are looked for together; the one whose messages may not be read is in error, with its cause."""
    for outbox in ("secret", "open", "other"):
        tide.outbox(outbox)
        tide.pipeline(make_topic(), name=outbox, outbox=outbox)
        tide.publish(outbox=outbox)
    start_relay(limited_dsn, *FAST)
    tide.until_settled("secret", "open", "other")
    table = tide.value("select message_table from tide.outboxes where outbox = 'secret'")
    tide.connection.execute(f"revoke select on {table} from limited_relay".encode())
    tide.publish(outbox="secret")
    for _ in range(10):
        for outbox in ("open", "other"):
            tide.publish(outbox=outbox)
        tide.until_settled("open", "other", within=3)
    row = tide.until_state("error", "secret")
    assert "permission denied" in row.error
    assert (row.error_class, row.error_code) == ("credentials", "42501")
    assert "tide.role_grant" in row.cure
    assert [tide.pipeline_row(name).error for name in ("open", "other")] == [None, None]
    tide.connection.execute(f"grant select on {table} to limited_relay".encode())
    tide.until_settled("secret", within=60)
    tide.until_state("running", "secret")


def test_a_lock_on_one_outbox_backs_its_pipeline_off_and_names_the_lock(
    tide: Tide, make_topic: MakeTopic, limited_dsn: str, start_relay: StartRelay
) -> None:
    """Nothing is broken, so it is no error; the cure is to end the transaction that holds the lock."""
    tide.connection.execute("alter role limited_relay set lock_timeout = '100ms'")
    for outbox in ("locked", "open"):
        tide.outbox(outbox)
        tide.pipeline(make_topic(), name=outbox, outbox=outbox)
        tide.publish(outbox=outbox)
    start_relay(limited_dsn, *FAST)
    tide.until_settled("locked", "open")
    table = tide.value("select message_table from tide.outboxes where outbox = 'locked'")
    tide.publish(outbox="locked")
    with tide.another_connection() as other, other.transaction():
        other.execute(f"lock table {table} in access exclusive mode".encode())
        row = tide.until_state("backing_off", "locked")
        tide.publish(outbox="open")
        tide.until_settled("open")
    assert (row.error_class, row.error_code) == ("cluster_away", "55P03")
    assert "lock" in row.error
    assert "pg_locks" in row.cure
    tide.until_settled("locked", within=60)
    tide.until_state("running", "locked")


def test_an_outbox_that_is_dropped_under_a_running_relay_disturbs_nobody_else(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """Its pipeline was dropped a moment before; the others' states never speak of it."""
    for outbox in ("gone", "open"):
        tide.outbox(outbox)
        tide.pipeline(make_topic(), name=outbox, outbox=outbox)
        tide.publish(outbox=outbox)
    relay = start_relay(tide.dsn)
    tide.until_settled("gone", "open")
    tide.value("select tide.relay_drop('gone')")
    eventually(lambda: is_dropped(tide, "gone"))
    tide.publish(outbox="open")
    tide.until_settled("open")
    assert relay.lines("database_refuses", pipeline="open") == []
    assert len(relay.lines("pipeline_acquired", pipeline="open")) == 1


def is_dropped(tide: Tide, outbox: str) -> bool:
    """Drop an outbox unless somebody is reading it just now."""
    try:
        tide.value("select tide.outbox_drop(%s, true)", outbox)
    except psycopg.errors.LockNotAvailable:
        return False
    return True
