"""Publishers under load, as a program of its own: `python publishers.py PLAN OUTPUT`, both as JSON and a path.

Many sessions change entities under row locks and publish one message per change, in all the ways in which
transactions come to their end. Each entity's version counts its committed changes, so the table `fire_entity`
tells what must arrive without asking the outbox. A commit that was answered is written to OUTPUT as a line; so
is, in the end, a line with totals. A database that goes away is waited for.
"""

import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Literal

TABLES = """
create table fire_entity (entity integer primary key, version integer not null default 0);
create table fire_audit (at timestamptz not null default clock_timestamp(), note text);
"""


CHARACTERS = "abc xyz 019 \"\\/\n\t<>&' äöüß € 🐘 \u2028 \u0001"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the publishers do; everything random follows from the seed."""

    dsn: str
    outbox: str
    messages: int  # commit at least this many, then stop
    seed: int
    publishers: int = 10
    entities: int = 60
    hold_ms: float = 20.0  # longest of the random pauses inside transactions
    two_phase: float = 0.03  # share of transactions
    rollback: float = 0.08
    old_writer: bool = True  # a transaction with messages at both ends, open from the start to the end
    record: bool = False  # write the identity of every message whose commit was answered
    varied: bool = False  # payloads of many sizes and characters, with dedup keys and headers of their own


@dataclass
class Tally:
    """Shared by the publishers: what has happened so far."""

    output: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: Counter[str] = field(default_factory=Counter)
    stopped: bool = False

    def add(self, what: str, count: int = 1) -> None:
        with self.lock:
            self.counts[what] += count

    def write(self, line: dict[str, Any]) -> None:
        with self.lock, self.output.open("a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")


class Publisher:
    """One session."""

    def __init__(self, number: int, plan: Plan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._number = number
        self._random = random.Random(f"{plan.seed} {number}")
        self._prepared = 0
        self._published: list[tuple[int, int]] = []

    def run(self) -> None:
        """Work until the plan is fulfilled; begin again after a lost connection."""
        while not self._is_done():
            try:
                with psycopg.connect(self._plan.dsn, autocommit=True) as connection:
                    self._end_prepared(connection)
                    while not self._is_done():
                        self._one_transaction(connection)
            except psycopg.OperationalError:
                self._tally.add("connections lost")
                time.sleep(0.05)

    def _is_done(self) -> bool:
        return self._tally.stopped or self._tally.counts["committed"] >= self._plan.messages

    def _one_transaction(self, connection: psycopg.Connection) -> None:
        self._published = []
        end = self._random.random()
        prepares = end < self._plan.two_phase
        connection.execute("begin")
        if self._random.random() < 0.5:
            # The audit write takes the xid early: the entity's lock, and so the message, come much later.
            connection.execute("insert into fire_audit (note) values ('early')")
            self._hold()
        for entity in sorted(
            self._random.sample(range(self._plan.entities), self._random.choice((1, 1, 2, 3)))
        ):
            if self._random.random() < 0.1:
                self._change_in_a_savepoint(connection, entity)
            self._change(connection, entity)
        self._hold()
        if prepares:
            self._two_phases(connection)
        elif end < self._plan.two_phase + self._plan.rollback:
            connection.execute("rollback")
            self._tally.add("rolled back", len(self._published))
        else:
            connection.execute("commit")
            self._committed()

    def _change(self, connection: psycopg.Connection, entity: int) -> None:
        """Lock the entity, publish its new version: as two statements, or as one with RETURNING."""
        if self._plan.varied and self._random.random() < 0.5:
            row = self._change_in_detail(connection, entity)
        elif self._random.random() < 0.25:
            statement = """
                with changed as (update fire_entity set version = version + 1 where entity = %(entity)s returning *)
                select tide.outbox_publish(%(outbox)s, to_jsonb(c), key => 'entity ' || c.entity) from changed c"""
            row = connection.execute(statement, {"entity": entity, "outbox": self._plan.outbox}).fetchone()
        else:
            changed = connection.execute(
                "update fire_entity set version = version + 1 where entity = %s returning version", [entity]
            ).fetchone()
            version = changed[0] if changed else 0
            row = self._publish(connection, f"entity {entity}", {"entity": entity, "version": version})
        self._note(connection, row)

    def _change_in_detail(self, connection: psycopg.Connection, entity: int) -> tuple[Any, ...] | None:
        """The same with everything that a message may have, so that wrong bytes would show."""
        changed = connection.execute(
            "update fire_entity set version = version + 1 where entity = %s returning version", [entity]
        ).fetchone()
        text = "".join(self._random.choices(CHARACTERS, k=int(self._random.paretovariate(0.9)) % 3000))
        payload = {"entity": entity, "version": changed[0] if changed else 0, "text": text}
        named = {
            "outbox": self._plan.outbox,
            "payload": json.dumps(payload)[:-1] + ', "amount": 1.10, "none": null}',
            "dedup_key": f"{entity} {self._random.random()}",
            "op": self._random.choice(("insert", "update")),
            "headers": json.dumps(
                {"traceparent": f"00-{self._random.getrandbits(64):016x}", "ä 🐘": text[:9]}
            ),
            "key": f"entity {entity}",
        }
        return connection.execute(
            """select tide.outbox_publish(%(outbox)s, %(payload)s::jsonb, %(dedup_key)s, op => %(op)s,
                                          headers => %(headers)s::jsonb, key => %(key)s)""",
            named,
        ).fetchone()

    def _publish(
        self, connection: psycopg.Connection, key: str, payload: dict[str, Any]
    ) -> tuple[Any, ...] | None:
        return connection.execute(
            "select tide.outbox_publish(%s, %s::jsonb, key => %s)",
            [self._plan.outbox, json.dumps(payload), key],
        ).fetchone()

    def _note(self, connection: psycopg.Connection, row: tuple[Any, ...] | None) -> None:
        created_us = 0
        if self._plan.record and row is not None:
            statement = (
                "select (extract(epoch from created_at) * 1000000)::bigint from tide.message where id = %s"
            )
            found = connection.execute(statement, row).fetchone()
            created_us = found[0] if found else 0
        self._published.append((row[0] if row else 0, created_us))

    def _change_in_a_savepoint(self, connection: psycopg.Connection, entity: int) -> None:
        """Change and take it back, while the transaction goes on."""
        kept = list(self._published)
        connection.execute("savepoint attempt")
        self._change(connection, entity)
        connection.execute("rollback to savepoint attempt")
        self._published = kept
        self._tally.add("savepoints rolled back")

    def _two_phases(self, connection: psycopg.Connection) -> None:
        self._prepared += 1
        gid = Literal(f"{self._gid_prefix}{self._prepared}")
        connection.execute(SQL("prepare transaction {}").format(gid))
        self._hold(times=5)
        if self._random.random() < 0.2:
            connection.execute(SQL("rollback prepared {}").format(gid))
            self._tally.add("rolled back", len(self._published))
        else:
            connection.execute(SQL("commit prepared {}").format(gid))
            self._tally.add("two-phase commits")
            self._committed()

    @property
    def _gid_prefix(self) -> str:
        return f"{self._plan.outbox} {self._number} "

    def _end_prepared(self, connection: psycopg.Connection) -> None:
        """A crash leaves prepared transactions, which hold their locks: commit ours, as a coordinator would."""
        found = connection.execute(
            "select gid from pg_prepared_xacts where database = current_database() and starts_with(gid, %s)",
            [self._gid_prefix],
        ).fetchall()
        for (gid,) in found:
            connection.execute(SQL("commit prepared {}").format(Literal(gid)))

    def _committed(self) -> None:
        self._tally.add("committed", len(self._published))
        if self._plan.record:
            self._tally.write({"committed": self._published})

    def _hold(self, times: float = 1.0) -> None:
        time.sleep(self._random.random() * self._plan.hold_ms * times / 1000)


@contextmanager
def old_writer(plan: Plan, tally: Tally) -> Iterator[None]:
    """A transaction that publishes, stays open, publishes again and commits: stragglers with the lowest ids."""
    with psycopg.connect(plan.dsn) as connection:
        publish = "select tide.outbox_publish(%s, '{\"old\": true}', key => 'old writer')"
        connection.execute(publish, [plan.outbox])
        yield
        connection.execute(publish, [plan.outbox])
        connection.commit()
        tally.add("committed", 2)


def main() -> None:
    """See the module's text."""
    plan, tally = Plan(**json.loads(sys.argv[1])), Tally(Path(sys.argv[2]))

    def stop(_number: int, _frame: object) -> None:
        tally.stopped = True

    signal.signal(signal.SIGTERM, stop)
    with (
        old_writer(plan, tally) if plan.old_writer else nullcontext(),
        ThreadPoolExecutor(plan.publishers) as pool,
    ):
        working = [pool.submit(Publisher(number, plan, tally).run) for number in range(plan.publishers)]
        for one in as_completed(working):
            one.result()
    tally.write({"totals": dict(tally.counts)})


def arguments(plan: Plan, output: Path) -> list[str]:
    """What follows the interpreter on the command line."""
    return [__file__, json.dumps(asdict(plan)), str(output)]


if __name__ == "__main__":
    main()
