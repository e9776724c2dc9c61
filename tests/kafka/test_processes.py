"""`--processes N`: relays that one parent keeps running share the pipelines, and never outlive it for long."""

import os
import signal
from collections import Counter

import psycopg

from fix_kafka import ReadTopic
from fix_relay import Relay, StartRelay
from pg_tide_dev.databases import Database
from pg_tide_dev.guardian import is_alive
from relay_kit import Tide, ids
from waiting import eventually

PATIENT = ("--lease-ms", "5000")  # a busy machine must not make a relay lose what it drives
NOBODY = "select count(*) = 0 from tide.cursor where owner_token is not null"
NAMES = [f"pipeline-{number}" for number in range(4)]


def start(tide: Tide, topic: str, start_relay: StartRelay) -> Relay:
    """Four pipelines, two processes; returns when they are shared."""
    tide.outbox()
    for name in NAMES:
        tide.pipeline(topic, name=name, request_timeout_ms=2_000)
    relay = start_relay(tide.dsn, "--processes", "2", "--relay-id", "pair", *PATIENT)
    until_shared(tide, "pair-1", "pair-2")
    return relay


def until_shared(tide: Tide, *relays: str) -> None:
    """These two drive two pipelines each."""

    def owners() -> Counter[str]:
        return Counter(row.owner for row in tide.rows("select owner from tide.pipelines"))

    eventually(lambda: owners() == dict.fromkeys(relays, 2), why=owners)


def pid_of(relay: Relay, child: str) -> int:
    return int(relay.lines("relay process started", child=child)[0]["child_pid"])


def test_processes_share_the_pipelines_are_started_again_and_leave_in_order(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Each line of the log says which process it is of."""
    relay = start(tide, topic, start_relay)
    os.kill(pid_of(relay, "pair-1"), signal.SIGKILL)
    died = relay.wait_for("relay process died")
    assert (died["child"], died["exit_code"]) == ("pair-1", -signal.SIGKILL)
    until_shared(tide, "pair-1.1", "pair-2")
    published = tide.publish_many(5_000)
    eventually(lambda: tide.pending(NAMES[0]) < 5_000)
    assert relay.terminate() == 0
    assert {line["relay_id"] for line in relay.lines("relay ended", exit_code=0)} == {"pair-1.1", "pair-2"}
    assert tide.value(NOBODY)
    start_relay(tide.dsn)
    tide.until_settled(*NAMES)
    assert Counter(ids(read_topic(topic))) == dict.fromkeys(published, len(NAMES))


def test_children_of_a_killed_parent_leave_in_order(tide: Tide, topic: str, start_relay: StartRelay) -> None:
    """Nobody has told them to: they read the end of the pipe."""
    relay = start(tide, topic, start_relay)
    children = [pid_of(relay, f"pair-{number}") for number in (1, 2)]
    relay.kill()
    eventually(lambda: not any(map(is_alive, children)))
    assert dict(tide.rows("select relay_id, state from tide.relays")) == {
        "pair-1": "ended",
        "pair-2": "ended",
    }
    assert tide.value(NOBODY)


def test_a_database_that_can_not_be_worked_on_ends_all_with_78(
    database18: Database, start_relay: StartRelay
) -> None:
    with psycopg.connect(database18.dsn, autocommit=True) as connection:
        connection.execute("drop schema tide cascade")
    relay = start_relay(database18.dsn, "--processes", "2")
    assert relay.wait() == 78
    assert relay.lines("relay process can't run")
    assert not relay.lines("relay process died")
