"""Prepared statements belong to a server connection: the relay has none behind a transaction pooler."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from database.reading import Relay, Scene
from pg_tide_dev.databases import Database
from pg_tide_relay.postgres import Connection
from pooler import Pooler

PREPARED = "select count(*) from pg_prepared_statements"
TRANSACTIONS = 20


@pytest.fixture
def pooler(shared_database: Database) -> Iterator[Pooler]:
    with Pooler(shared_database.dsn) as opened:
        yield opened


@pytest.fixture
def scene(pooler: Pooler, scene: Scene) -> Scene:
    """The pooler outlives all who come to the scene."""
    return scene


def answers(relay: Relay, query: str) -> list[Any]:
    """What each of a relay's connections answers to a query, asked as often as there may be server connections."""

    def job(conn: Connection) -> list[Any]:
        return [conn.execute(query.encode(), prepare=False).fetchall()[0][0] for _ in range(3)]

    return relay.on(relay.reader, job) + relay.on(relay.writer, job)


def test_the_stand_in_gives_successive_transactions_different_server_connections(pooler: Pooler) -> None:
    """And keeps one to the end of a transaction, whether its statements are sent one by one or together."""
    own = "select pg_backend_pid()"
    with psycopg.connect(pooler.dsn, autocommit=True, prepare_threshold=None) as client:
        pids = [client.execute(own).fetchall()[0][0] for _ in range(TRANSACTIONS)]
        assert all(one != other for one, other in pairwise(pids))
        assert len(set(pids)) == 3
        assert client.info.backend_pid not in pids
        with client.transaction():
            assert len({client.execute(own).fetchall()[0][0] for _ in range(3)}) == 1
        with client.pipeline() as pipeline:
            client.execute("begin")
            within = []
            for _ in range(3):
                within.append(client.execute(own))
                pipeline.sync()
            client.execute("commit")
            assert len({cursor.fetchall()[0][0] for cursor in within}) == 1
    assert sum(pooler.transactions.values()) == TRANSACTIONS + 2


def test_a_client_that_prepares_its_statements_fails_behind_the_stand_in(pooler: Pooler) -> None:
    """The fault itself, so that the relay's care is not for nothing."""
    with psycopg.connect(pooler.dsn, autocommit=True, prepare_threshold=0) as client:
        with pytest.raises(psycopg.errors.InvalidSqlStatementName, match="does not exist"):
            client.execute("select 1")
        client.prepare_threshold = None
        assert client.execute("select 1").fetchall() == [(1,)]


def test_a_relay_behind_a_pooler_reads_and_settles_without_prepared_statements(
    pooler: Pooler, scene: Scene
) -> None:
    """Windows and pages, with a straggler and without, settles, renewals, a rewind: many times each."""
    relay = scene.relay(size=2, dsn=pooler.dsn, lease_ms=60_000)
    late = scene.begin()
    published = [late.publish()]
    arrived: list[int] = []
    for _ in range(TRANSACTIONS):
        published += [scene.admin.publish() for _ in range(3)]
        arrived += relay.drain()
        relay.renew()
    assert arrived == published[1:]
    late.commit()
    assert relay.drain() == published[:1]
    relay.release()
    scene.admin.run("select tide.group_rewind('g', 'orders', to_id => 0)")
    relay.acquire()
    assert relay.drain() == published

    assert answers(relay, PREPARED) == [0] * 6
    assert len(pooler.transactions) == 3
    assert min(pooler.transactions.values()) > TRANSACTIONS
    assert (relay.reader.connection, relay.writer.connection) == (1, 1)


def test_a_relay_connected_directly_prepares_what_it_runs_often(scene: Scene) -> None:
    """Else every page would be parsed and planned again."""
    relay = scene.relay(size=2)
    for _ in range(3):
        scene.admin.publish()
        relay.drain()
    assert min(answers(relay, PREPARED)) > 0
    assert relay.on(relay.reader, lambda conn: conn.prepare_threshold) is not None
    assert relay.on(relay.writer, lambda conn: conn.prepare_threshold) is not None
