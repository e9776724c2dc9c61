"""The place where all shards of a pipeline stop, so that their number can change: asks whether all have come there."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final

import psycopg

from pg_tide_relay import settle
from pg_tide_relay.cursor import Ownership
from pg_tide_relay.lease import Lease
from pg_tide_relay.postgres import Worker
from pg_tide_relay.settle import NotOwnerError

_ASK_EVERY_S: Final = 0.2


class Barrier:
    """One shard's; whoever comes last changes the number, and the others hear of it when they ask."""

    def __init__(self, *, writer: Worker, lease: Lease, on_lost: Callable[[Exception], None]) -> None:
        """``on_lost`` is told to read the cursor again: the number has changed, or nobody wants that any more."""
        self._writer = writer
        self._lease = lease
        self._on_lost = on_lost
        self._asking = False
        self._ask_at = 0.0
        self.until: str | None = None
        """The snapshot at which this shard stops; None: it does not."""

    def step(self, now: float) -> None:
        """This shard stands there, and the database was told."""
        owned = self._lease.owned
        if owned is None or self._asking or now < self._ask_at:
            return
        self._asking = True
        self._ask_at = now + _ASK_EVERY_S
        self._writer.submit(
            partial(settle.pass_barrier, owned=owned),
            partial(self._on_answer, owned),
            connection=owned.connection,
        )

    def _on_answer(self, owned: Ownership, done: Future[bool | None]) -> None:
        self._asking = False
        if self._lease.owned is not owned:
            return
        try:
            go_on = done.result()
        except psycopg.Error as error:
            self._on_lost(error)
            return
        if go_on is not None:
            self._on_lost(NotOwnerError())
