"""A relay without Kafka: drives the relay's own poll and settle jobs, one after the other, and keeps what they read.

`Scene` is an outbox with one consumer group and everybody who works on it. `Session` is a publisher with a
transaction in its hands. `Relay` acquires, opens windows, reads pages, settles and crashes when the test says so.
"""

from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import orjson
import psycopg
from psycopg.sql import SQL, Literal

from pg_tide_relay import settle
from pg_tide_relay.cursor import Ownership, Position
from pg_tide_relay.message import Row
from pg_tide_relay.poll import Page, WindowsOpened, WindowWanted, open_windows, read_page
from pg_tide_relay.postgres import Answer, Connection, Worker, read_raw
from pg_tide_relay.settle import Acquired, Claim, NotAcquired, NotOwnerError

T = TypeVar("T")

CONFIG = '{"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t"}'
ANSWER_SECONDS = 60.0


class Session:
    """A connection of an application, with at most one transaction open. Every name is the SQL word for it."""

    def __init__(self, dsn: str, outbox: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, client_encoding="utf8")
        self.pid = self.connection.info.backend_pid
        self._outbox = outbox

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement; its rows, if it has any."""
        cursor = self.connection.execute(SQL(statement), values)
        return cursor.fetchall() if cursor.description else []

    def begin(self, isolation: str = "read committed") -> Self:
        self.run(f"begin isolation level {isolation}")
        return self

    def take_xid(self) -> int:
        """What an audit write does before the message: the transaction gets its xid now."""
        return int(self.run("select pg_current_xact_id()::text")[0][0])

    def publish(self, payload: Any = None, key: str | None = None) -> int:
        """Publish; the message's id."""
        text = orjson.dumps({} if payload is None else payload).decode()
        (row,) = self.run("select tide.outbox_publish(%s, %s::jsonb, key => %s)", [self._outbox, text, key])
        return int(row[0])

    def commit(self) -> None:
        self.run("commit")

    def rollback(self) -> None:
        self.run("rollback")

    def savepoint(self, name: str) -> None:
        self.run(f"savepoint {name}")

    def rollback_to(self, name: str) -> None:
        self.run(f"rollback to savepoint {name}")

    def prepare(self, name: str) -> None:
        """First phase of a two-phase commit; the session is free again."""
        self.connection.execute(SQL("prepare transaction {}").format(Literal(name)))

    def commit_prepared(self, name: str) -> None:
        self.connection.execute(SQL("commit prepared {}").format(Literal(name)))

    def close(self) -> None:
        self.connection.close()


class Relay:
    """One relay process on one cursor. What it read lies in `rows`; nothing is settled unless `settle` is called."""

    def __init__(
        self,
        *,
        dsn: str,
        outbox_id: int,
        group_id: int,
        size: int,
        lease_ms: int,
        takeover_ms: int,
        name: str,
    ) -> None:
        self._inbox: SimpleQueue[Answer] = SimpleQueue()
        self.reader = Worker(dsn=dsn, name=f"{name} reads", inbox=self._inbox, prepare=read_raw)
        self.writer = Worker(dsn=dsn, name=f"{name} writes", inbox=self._inbox)
        self.outbox_id = outbox_id
        self.size = size
        self.claim = Claim(
            pipeline_id=0,
            group_id=group_id,
            token=uuid4(),
            relay_id=name,
            lease_ms=lease_ms,
            takeover_ms=takeover_ms,
        )
        self.owned: Ownership | None = None
        self.position: Position | None = None  # what has been read
        self.settled: Position | None = None  # what the database says
        self.rows: list[Row] = []

    @property
    def ids(self) -> list[int]:
        """Ids of the messages read so far."""
        return [row[0] for row in self.rows]

    @property
    def payloads(self) -> list[Any]:
        """Payloads of the messages read so far."""
        return [orjson.loads(row[4]) for row in self.rows if row[4] is not None]

    @property
    def at(self) -> Position:
        """Where reading stands; the cursor must have been acquired."""
        assert self.position is not None
        return self.position

    def on(self, worker: Worker, job: Callable[[Connection], T]) -> T:
        """Run a job on one of this relay's workers as its main thread does, and wait for the answer."""
        assert worker in (self.reader, self.writer)
        answers: list[Any] = []
        worker.submit(job, answers.append)
        self._inbox.get(timeout=ANSWER_SECONDS)()
        answer: T = answers[0].result()
        return answer

    def ask(self) -> Acquired | NotAcquired:
        """Ask for the cursor; when it can be had, go on from what it says."""
        answer = self.on(self.writer, partial(settle.acquire, claim=self.claim))
        if isinstance(answer, Acquired):
            self.position = self.settled = answer.position()
            self.owned = Ownership(
                group_id=self.claim.group_id,
                token=self.claim.token,
                epoch=answer.epoch,
                generation=answer.generation,
                timeline=answer.timeline,
                connection=self.writer.connection,
            )
        return answer

    def acquire(self) -> Acquired:
        """The same, where the answer must be yes."""
        answer = self.ask()
        assert isinstance(answer, Acquired), answer
        return answer

    def look(self) -> WindowsOpened:
        """Look for messages; the position does not move."""
        wanted = {1: WindowWanted(outbox_id=self.outbox_id, prev=self.at.prev)}
        return self.on(self.reader, partial(open_windows, wanted=wanted, seen=None))

    def open_window(self) -> bool:
        """Open the next window; False: there is nothing in it, and it is thrown away."""
        opened = self.look()
        if 1 not in opened.first_ids:
            return False
        self.position = self.at.open(opened.snapshot, opened.first_ids[1], uuid4())
        return True

    def fetch(self) -> Page:
        """Read the next page of the window or of the replay pass, and move on behind it."""
        page = self.on(
            self.reader, partial(read_page, outbox_id=self.outbox_id, position=self.at, size=self.size)
        )
        self.rows += page.rows
        self.position = self.at.exhausted() if page.is_last else self.at.at(page.rows[-1][0])
        return page

    def page(self) -> list[int]:
        """Ids of the next page, after opening a window where one is needed; empty: nothing to read now."""
        if not self.is_reading and not self.open_window():
            return []
        return [row[0] for row in self.fetch().rows]

    @property
    def is_reading(self) -> bool:
        """Whether a window or a replay pass is under way."""
        return self.at.replaying or self.at.cur is not None

    def settle(self, position: Position | None = None) -> None:
        """Settle what was read, or up to a position before that. Raises NotOwnerError."""
        wanted = position or self.at
        assert self.owned is not None
        assert self.settled is not None
        changed = not wanted.same_window(self.settled) or (self.settled.replaying and not wanted.replaying)
        job = partial(settle.settle, owned=self.owned, position=wanted, window_changed=changed)
        self.on(self.writer, job)
        self.settled = wanted

    def renew(self) -> None:
        """Prolong the lease. Raises NotOwnerError."""
        assert self.owned is not None
        job = partial(settle.renew, owned=[self.owned], lease_ms=self.claim.lease_ms)
        if not self.on(self.writer, job)[self.claim.group_id, self.claim.shard]:
            raise NotOwnerError

    def release(self) -> None:
        """Sign off."""
        assert self.owned is not None
        self.on(self.writer, partial(settle.release, owned=self.owned))

    def drain(self) -> list[int]:
        """Acquire where needed, read and settle until nothing is left; the ids read by this call."""
        if self.position is None:
            self.acquire()
        before = len(self.rows)
        while self.is_reading or self.open_window():
            self.fetch()
            self.settle()
        return self.ids[before:]

    def forget(self) -> None:
        """What a relay does when anything it remembers may be wrong."""
        self.owned = self.position = self.settled = None

    def close(self) -> None:
        """End the threads and the connections; nothing is settled."""
        self.reader.close(ANSWER_SECONDS)
        self.writer.close(ANSWER_SECONDS)


class Scene:
    """An outbox, its group, and everybody who works on them; a context manager that closes all connections.

    With `exists` they are found in the database, not made: after a restart or a restore.
    """

    def __init__(
        self,
        dsn: str,
        outbox: str = "orders",
        group: str = "g",
        start: str = "earliest",
        *,
        exists: bool = False,
    ) -> None:
        self.dsn = dsn
        self.outbox = outbox
        self.group = group
        self._open: list[Session | Relay] = []
        self.admin = self.session()
        if not exists:
            self.admin.run("select tide.outbox_create(%s, slots => 3)", [outbox])
        (row,) = self.admin.run("select outbox_id from tide.outbox where name = %s", [outbox])
        self.outbox_id = int(row[0])
        self.table = f"tide.message_{self.outbox_id}"
        self.group_id = self.group_named(group) if exists else self.add_group(group, start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; open transactions are rolled back."""
        while self._open:
            self._open.pop().close()

    @staticmethod
    def clear(dsn: str) -> None:
        """Remove all pipelines, groups, outboxes and prepared transactions, and what tests made beside them."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            mine = "select gid from pg_prepared_xacts where database = current_database()"
            for (gid,) in connection.execute(mine).fetchall():
                connection.execute(SQL("rollback prepared {}").format(Literal(gid)))
            connection.execute("select tide.relay_drop(name) from tide.pipeline")
            connection.execute(
                "select tide.group_drop(g.name, o.name) from tide.consumer_group g join tide.outbox o using (outbox_id)"
            )
            connection.execute("select tide.outbox_drop(name, force => true) from tide.outbox")
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")

    def add_group(self, group: str, start: str = "earliest") -> int:
        """Another consumer group on the outbox; its number."""
        self.admin.run(
            "select tide.relay_set_outbox(%s, %s, %s, %s::jsonb, start => %s)",
            [f"{self.outbox} to {group}", self.outbox, group, CONFIG, start],
        )
        return self.group_named(group)

    def group_named(self, group: str) -> int:
        """Number of a consumer group."""
        find = "select group_id from tide.consumer_group where outbox_id = %s and name = %s"
        return int(self.admin.run(find, [self.outbox_id, group])[0][0])

    def session(self, dsn: str | None = None) -> Session:
        """A publisher, without a transaction."""
        session = Session(dsn or self.dsn, self.outbox)
        self._open.append(session)
        return session

    def begin(self, isolation: str = "read committed") -> Session:
        """A publisher in a transaction that has no xid yet."""
        return self.session().begin(isolation)

    def relay(
        self,
        *,
        size: int = 1000,
        group_id: int | None = None,
        lease_ms: int = 0,
        takeover_ms: int = 0,
        name: str = "relay",
        dsn: str | None = None,
    ) -> Relay:
        """A relay process. Its lease ends at once unless told otherwise, so that a successor need not wait."""
        relay = Relay(
            dsn=dsn or self.dsn,
            outbox_id=self.outbox_id,
            group_id=group_id or self.group_id,
            size=size,
            lease_ms=lease_ms,
            takeover_ms=takeover_ms,
            name=name,
        )
        self._open.append(relay)
        return relay

    def end(self, one: Session | Relay) -> None:
        """Close the connections of one of them."""
        self._open.remove(one)
        one.close()

    def crash(self, relay: Relay) -> Relay:
        """The process dies; another one is started, which has acquired the cursor."""
        self.end(relay)
        successor = self.relay(size=relay.size, group_id=relay.claim.group_id, name=relay.claim.relay_id)
        successor.acquire()
        return successor

    def cursor(self, group_id: int | None = None) -> dict[str, Any]:
        """The cursor's row as JSON shows it; numbers are numbers, everything else is text or None."""
        (row,) = self.admin.run(
            "select to_jsonb(c) from tide.cursor c where c.group_id = %s", [group_id or self.group_id]
        )
        found: dict[str, Any] = row[0]
        return found

    def snapshot(self) -> str:
        """The current snapshot."""
        return str(self.admin.run("select pg_current_snapshot()::text")[0][0])

    def burn(self, count: int) -> None:
        """Use up transaction ids."""
        self.admin.run(
            f"do $$ begin for i in 1 .. {count} loop perform pg_current_xact_id(); commit; end loop; end $$"
        )
