"""The runbook docs/recovery.md, played through on real servers with its own statements: nothing is lost.

Promoted standbys are in test_standby_promoted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from docs_kit import Block, run_shell, run_sql, runnable
from fix_kafka import MakeTopic, ReadTopic
from fix_postgres import NewPostgres, install_schema
from fix_relay import StartRelay
from kafka.verifying import Answer, verify
from pg_tide_dev.databases import administrator
from pg_tide_dev.kafka import KafkaServer
from pg_tide_dev.postgres import LocalPostgres, PostgresServer
from pg_tide_dev.postgres_binaries import Binaries, find_binaries
from pg_tide_dev.processes import Run
from pg_tide_dev.sources import wanted_sources
from relay_kit import FAST, Tide, ids
from waiting import eventually

PAGE = "docs/recovery.md"


def block(*words: str) -> Block:
    """The first block of the runbook with these words."""
    return next(one for one in runnable(PAGE, "sql", "sh") if all(word in one.text for word in words))


@dataclass
class Shop:
    """The database of the runbook on some server, with its outbox, pipeline and group."""

    server: PostgresServer
    tide: Tide
    topic: str
    start_relay: StartRelay
    folder: Path

    def publish(self, count: int) -> list[int]:
        """Each in a transaction of its own, of three keys in turn."""
        return [self.tide.publish({"n": n}, key=f"k{n % 3}") for n in range(count)]

    def deliver(self, *flags: str) -> None:
        """Let a relay deliver everything that waits."""
        relay = self.start_relay(self.tide.dsn, *FAST, *flags)
        self.tide.until_settled(within=60)
        assert relay.terminate() == 0

    def sql(self, *words: str) -> list[tuple[object, ...]]:
        """Run a block of the runbook; the rows of its last statement."""
        return run_sql(self.tide.connection, block(*words), {})

    def verified(self) -> Answer:
        """The runbook's last step succeeds; what it says."""
        run_shell(block("pg-tide verify"), self.tide.dsn, self.folder, {})
        return verify(self.tide)


OpenShop = Callable[[PostgresServer], Shop]


@pytest.fixture
def open_shop(
    kafka: KafkaServer, make_topic: MakeTopic, start_relay: StartRelay, tmp_path: Path
) -> Iterator[OpenShop]:
    """Opens the database `shop` of a server; makes it where it is not there. All servers' shops have one topic."""
    topic, connections = make_topic(), list[psycopg.Connection[Any]]()

    def open_on(server: PostgresServer) -> Shop:
        with administrator(server) as connection:
            exists = connection.execute("select 1 from pg_database where datname = 'shop'").fetchone()
            if not exists:
                connection.execute("create database shop")
        if not exists:
            install_schema(server.dsn("shop"))
        connections.append(psycopg.connect(server.dsn("shop"), autocommit=True))
        tide = Tide(connections[-1], kafka.bootstrap)
        if not exists:
            tide.outbox()
            tide.pipeline(topic, group="kafka-relay", request_timeout_ms=1000)
        return Shop(server=server, tide=tide, topic=topic, start_relay=start_relay, folder=tmp_path)

    yield open_on
    for connection in connections:
        connection.close()


def local(server: PostgresServer) -> LocalPostgres:
    assert isinstance(server, LocalPostgres)
    return server


def base_backup(run: Run, server: LocalPostgres, data: Path) -> None:
    """A copy of the running server's storage."""
    command: list[str | Path] = [server.binaries["pg_basebackup"], "-D", data, "-h", "127.0.0.1"]
    options = ["-p", str(server.port), "-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync"]
    run.call([*command, *options], env={"PGPASSWORD": run.password})


def started(run: Run, binaries: Binaries, data: Path, **settings: str) -> LocalPostgres:
    """A server on storage that is there already."""
    basic = {
        "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "dynamic_shared_memory_type": "mmap",
        "max_connections": "200", "max_prepared_transactions": "50", "fsync": "off",
    }  # fmt: skip
    server = LocalPostgres(run, binaries, data, basic | settings)
    server.start_on_a_free_port()
    return server


# -- a restore to a point in time ----------------------------------------------------------------------------


@pytest.fixture
def archiving(dev_run: Run, new_postgres: NewPostgres) -> tuple[LocalPostgres, Path]:
    """A server that archives its log, and where."""
    archive = dev_run.make_folder("archive")
    settings = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
    return local(new_postgres(18, settings=settings)), archive


def restored_to(run: Run, server: LocalPostgres, data: Path, archive: Path, target: str) -> LocalPostgres:
    """A base backup, recovered to a named point and promoted."""
    run.call(["/bin/sh", "-c", f"touch {data}/recovery.signal"])
    recovered = started(
        run, server.binaries, data, restore_command=f"cp {archive}/%f %p",
        recovery_target_name=target, recovery_target_action="promote",
    )  # fmt: skip

    def is_primary() -> bool:
        with administrator(recovered) as connection:
            return connection.execute("select pg_is_in_recovery()").fetchone() == (False,)

    eventually(is_primary)
    return recovered


def test_a_restore_to_a_point_in_time_goes_on_by_itself(
    dev_run: Run, archiving: tuple[LocalPostgres, Path], open_shop: OpenShop, read_topic: ReadTopic
) -> None:
    """What waited at that time arrives, what was delivered since is sent again, and what is lost here are phantoms."""
    server, archive = archiving
    shop = open_shop(server)
    data = dev_run.make_folder("restored") / "data"
    base_backup(dev_run, server, data)
    shop.publish(5)
    shop.deliver()
    waiting = shop.publish(5)
    shop.tide.value("select pg_create_restore_point('before')")
    lost = shop.publish(50)  # a sequence writes down 32 numbers ahead
    shop.deliver()
    shop.tide.value("select pg_switch_wal()")
    server.stop()
    shop = open_shop(restored_to(dev_run, server, data, archive, "before"))
    try:
        assert shop.sql("tide.lag", "doubt is not null") == []
        assert shop.tide.pending() == 5
        shop.sql("tide.relay_enable")
        new = shop.publish(50)
        shop.deliver()
        answer = shop.verified()
        assert (answer.count("phantoms"), answer.ids("duplicates")) == (len(lost), waiting)
        assert set(new) & set(lost), "ids are used again"
        assert set(waiting + new) <= set(ids(read_topic(shop.topic)))
    finally:
        shop.server.discard()


# -- a dump and restore --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [True, False], ids=["from_a_busier_cluster", "from_a_quieter_cluster"])
def test_a_dump_and_restore_is_refused_and_cured_by_the_statement_that_it_names(
    dev_run: Run, new_postgres: NewPostgres, open_shop: OpenShop, start_relay: StartRelay, ahead: bool
) -> None:
    """From 15 to 18; whatever waited in the source arrives, and what is published in the target."""
    source, target = local(new_postgres(15)), local(new_postgres(18))
    burn = "do $$ begin for i in 1 .. 5000 loop perform pg_current_xact_id(); commit; end loop; end $$"
    with administrator(source if ahead else target) as connection:
        connection.execute(burn)
    shop = open_shop(source)
    delivered = shop.publish(4)
    shop.deliver()
    waiting = shop.publish(4)
    dump = dev_run.make_folder("dump") / "shop.dump"
    password = {"PGPASSWORD": dev_run.password}
    programs, where = target.binaries, ["-h", "127.0.0.1", "-U", "postgres"]
    dev_run.call(
        [programs["pg_dump"], *where, "-p", str(source.port), "-Fc", "-f", dump, "shop"], env=password
    )
    source.stop()
    with administrator(target) as connection:
        connection.execute("create database shop")
        for role in ("publisher", "relay", "admin", "monitor"):
            connection.execute(f"create role tide_{role}")
    dev_run.call(
        [programs["pg_restore"], *where, "-p", str(target.port), "-d", "shop", "-1", dump], env=password
    )
    shop = open_shop(target)
    relay = start_relay(shop.tide.dsn, *FAST)
    row = shop.tide.until_state("error")
    assert row.error_code == "TD032"
    assert shop.sql("tide.pipelines;")[0][1:3] == ("error", "TD032")
    cure = block("tide.group_rebase").text.strip()
    assert cure.removesuffix(";") in str(row.cure)
    shop.sql("tide.group_rebase")
    new = shop.publish(4)
    shop.tide.until_settled(within=60)
    assert relay.terminate() == 0
    answer = shop.verified()
    assert answer.found == {"duplicates": delivered}
    assert answer.report["messages"]["compared"] == len(delivered + waiting + new)


# -- pg_upgrade ----------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_pg_upgrade_costs_nothing(
    dev_run: Run, new_postgres: NewPostgres, open_shop: OpenShop, read_topic: ReadTopic
) -> None:
    """From 16 to 18: the cursor is right, also in the middle of what waits; each message arrives once."""
    old = local(new_postgres(16))
    shop = open_shop(old)
    shop.publish(5)
    shop.deliver()
    shop.publish(5)
    shop.tide.connection.close()
    old.stop()
    found = find_binaries(18, wanted_sources())
    assert found is not None
    new = dev_run.make_folder("upgraded")
    (password := new / "password").write_text(dev_run.password, encoding="ascii")
    password.chmod(0o644)
    initdb = ["-U", "postgres", "-A", "scram-sha-256", "--pwfile", password, "-E", "UTF8", "--locale=C.UTF-8"]
    dev_run.call([found["initdb"], "-D", new / "data", "-N", "--no-data-checksums", *initdb])
    dev_run.call(
        [found["pg_upgrade"], "-b", old.binaries.folder, "-B", found.folder, "-d", old.data, "-D", new / "data",
         "-U", "postgres", "-s", new, "-p", str(old.port)],
        env={"PGPASSWORD": dev_run.password}, timeout_seconds=240,
    )  # fmt: skip
    upgraded = started(dev_run, found, new / "data")
    try:
        shop = open_shop(upgraded)
        assert shop.sql("tide.lag", "doubt is not null") == []
        shop.sql("tide.relay_enable")
        assert shop.tide.pending() == 5
        shop.publish(5)
        shop.deliver()
        assert shop.verified().found == {}
        assert len(read_topic(shop.topic)) == 15
    finally:
        upgraded.discard()


# -- a clone -------------------------------------------------------------------------------------------------


@pytest.fixture
def cloned(
    dev_run: Run, new_postgres: NewPostgres, open_shop: OpenShop
) -> Iterator[tuple[Shop, LocalPostgres]]:
    """An original that has a name, with messages that wait, and a running copy of its storage."""
    server = local(new_postgres(18))
    shop = open_shop(server)
    shop.sql("installation_set('shop-production')")
    shop.publish(3)
    data = dev_run.make_folder("clone") / "data"
    base_backup(dev_run, server, data)
    clone = started(dev_run, server.binaries, data)
    yield shop, clone
    clone.discard()


def test_a_clone_that_was_renamed_is_safe_from_relays_of_the_original(
    cloned: tuple[Shop, LocalPostgres], open_shop: OpenShop, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """They end with a sentence; the original goes on, and only it has sent anything."""
    shop, clone = cloned
    copy = open_shop(clone)
    copy.sql("installation_set('shop-test')")
    relay = start_relay(copy.tide.dsn, *FAST, "--installation", "shop-production")
    assert relay.wait() == 78
    (line,) = relay.lines("relay can't run")
    assert (
        "for installation 'shop-production', and this database is installation 'shop-test'" in line["cause"]
    )
    assert read_topic(shop.topic) == []
    shop.deliver("--installation", "shop-production")
    assert shop.verified().found == {}
    assert len(read_topic(shop.topic)) == 3


def test_a_clone_with_the_originals_name_passes_every_check(
    cloned: tuple[Shop, LocalPostgres], open_shop: OpenShop
) -> None:
    """Nothing in its storage tells it from the original: what it sends are duplicates, and soon phantoms."""
    shop, clone = cloned
    copy = open_shop(clone)
    own = copy.publish(1)
    copy.deliver("--installation", "shop-production")
    shop.deliver("--installation", "shop-production")
    answer = shop.verified()
    assert answer.found == {"duplicates": answer.ids("duplicates"), "phantoms": own}
    assert len(answer.ids("duplicates")) == 3


def test_each_statement_of_the_runbook_is_run_by_a_test() -> None:
    """A block that is added has to be played through here."""
    played = (
        ("pg-tide verify",), ("tide.lag", "doubt is not null"), ("tide.relay_enable",), ("tide.pipelines;",),
        ("tide.group_rebase",), ("installation_set('shop-production')",), ("installation_set('shop-test')",),
    )  # fmt: skip
    places = {block(*words).place for words in played}
    assert places == {one.place for one in runnable(PAGE, "sql", "sh", "python")}
