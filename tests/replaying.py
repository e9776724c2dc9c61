"""The SQL side of replays, driven as a relay and an administrator drive it."""

from typing import Any

from fix_sql import CONFIG, OWNER, Ring

SETTLE = """
    select state from tide._replay_settle(%s, 1, 0, %s, %s, %s, %s, 0, %s, 0, null, %s, %s, null, null, null, null)
"""


class Replays:
    """The pipeline `p` of the outbox `orders`, owned by a relay that has delivered six messages of two keys."""

    def __init__(self, ring: Ring) -> None:
        self.connection = ring.connection
        self.ring = ring
        ring.value("select tide.relay_set_outbox('p', 'orders', 'g', %s)", CONFIG)
        self.ids = [self.publish(n, "even" if n % 2 == 0 else "odd") for n in range(6)]
        self.epoch = self.acquire()
        self.deliver()

    def publish(self, n: int, key: str | None = None) -> int:
        return int(
            self.ring.value(
                "select tide.outbox_publish('orders', jsonb_build_object('n', %s::int), key => %s)", n, key
            )
        )

    def acquire(self) -> int:
        return int(self.ring.value("select epoch from tide._cursor_acquire(1, 0, %s, 'r', 60000, 0)", OWNER))

    def deliver(self) -> None:
        """As a relay that has delivered all that is committed."""
        self.ring.value(
            "select tide._cursor_settle_window(1, 0, %s, c.epoch, c.generation, c.timeline, pg_current_snapshot(),"
            " null, null, 0, null) from tide.cursor c",
            OWNER,
        )

    def ask(self, how: str = "everything => true", *values: object) -> tuple[Any, ...]:
        """(replay id, selected, left out, gone, oldest id, newest id)"""
        (row,) = self.rows(
            "select replay_id, selected, left_out, gone, oldest_id, newest_id from tide.replay('p', "
            + how
            + ")",
            *values,
        )
        return row

    def begin(self) -> tuple[Any, ...] | None:
        rows = self.rows(
            "select replay_id, last_position from tide._replay_begin(1, 1, 0, %s, %s, 'r')", OWNER, self.epoch
        )
        return rows[0] if rows else None

    def page(
        self, replay: int, behind: int = 0, size: int = 100, bytes_: int = 10**6, reach: int = 100
    ) -> Any:
        """(up to, ids, which of them wait as dead letters)"""
        rows = self.rows(
            "select up_to, id, letter from tide._replay_page(%s, %s, %s, %s, %s)",
            replay,
            behind,
            size,
            bytes_,
            reach,
        )
        there = [row for row in rows if row[1] is not None]
        return (rows[0][0] if rows else None, [row[1] for row in there], [row[2] for row in there])

    def settle(
        self,
        replay: int,
        position: int,
        sent: int,
        failed: int = 0,
        error: str | None = None,
        what: str | None = None,
    ) -> str | None:
        """The state that it is in then; "not the owner" where no row came."""
        rows = self.rows(SETTLE, replay, OWNER, self.epoch, position, sent, failed, error, what)
        return rows[0][0] if rows else "not the owner"

    def row(self, replay: int, columns: str) -> tuple[Any, ...]:
        (row,) = self.rows(f"select {columns} from tide.replays where replay_id = %s", replay)
        return row

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, values).fetchall()  # type: ignore[arg-type]
