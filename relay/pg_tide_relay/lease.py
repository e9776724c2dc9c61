"""The right of this process to drive one pipeline, until a time of its own monotonic clock.

The database's clock decides who may take over; this process counts from the moment before it asked, so that it
always thinks its lease ends earlier than the database does. Whoever asked never shortens anybody else's lease.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Final, Protocol

import psycopg

from pg_tide_relay import settle
from pg_tide_relay.cursor import Ownership
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_relay.settle import Acquired, Claim, NotAcquired, NotOwnerError

_RETRY_S: Final = 1.0
"""How often a relay that stands by asks again."""


class LeaseHolder(Protocol):
    """Who is told what became of the lease: the pipeline."""

    def on_acquired(self, acquired: Acquired) -> None:
        """The cursor is ours, and this is what it says."""

    def on_not_acquired(self, answer: NotAcquired) -> None:
        """It is somebody else's, or not to be trusted."""

    def on_lost(self, error: Exception) -> None:
        """The database is away, or the cursor is no longer ours: forget and ask again."""

    def on_locked(self) -> None:
        """Another transaction holds the cursor's row: the lease was not prolonged, it will be tried again."""


class Lease:
    """Acquire and release one cursor; ``Renewals`` prolongs it together with all others of the process."""

    def __init__(
        self, *, writer: Worker, claim: Claim, holder: LeaseHolder, clock: Callable[[], float]
    ) -> None:
        """Own nothing yet. ``clock`` is monotonic, in seconds."""
        self._writer = writer
        self._claim = claim
        self._holder = holder
        self._clock = clock
        self._asking = False
        self._ask_at = 0.0
        self._must_ask = False  # what was ours was lost: it has to be known whether somebody else has it
        self.wanted = False
        """Whether the cursor is this process's share: else it is not asked for, and kept as long as it is ours."""
        self._give_back: Callable[[], None] | None = None  # told to sign off while the answer was under way
        self.owned: Ownership | None = None
        self._last: Ownership | None = None  # what was ours last
        self._refused = False  # it may be ours still, but messages are divided anew: there is no going on
        self.deadline = 0.0
        """Until when this process may hand messages over."""

    def forget(self) -> None:
        """Read the cursor again, at once if it was ours; the deadline stands."""
        if self.owned is not None:
            self.owned = None
            self._ask_at = 0.0
            self._must_ask = True

    def want(self, wanted: bool) -> None:
        """Say whether the cursor is this process's share; one that has become it is asked for at once."""
        if wanted and not self.wanted and self._ask_at != float("inf"):
            self._ask_at = 0.0
        self.wanted = wanted

    def step(self, now: float) -> None:
        """Ask for the cursor when it is not ours and should be."""
        is_due = self.owned is None and not self._asking and now >= self._ask_at
        if is_due and (self.wanted or self._must_ask):
            self._asking = True
            self._must_ask = False
            self._writer.submit(self._acquire, partial(self._on_answer, now))

    def _acquire(self, conn: Connection) -> tuple[Acquired | NotAcquired, int]:
        # The connection's number is read on the worker's thread: the main thread might see the next one's.
        return settle.acquire(conn, self._claim), self._writer.connection

    def _on_answer(self, asked: float, done: Future[tuple[Acquired | NotAcquired, int]]) -> None:
        self._asking = False
        self._ask_at = self._clock() + _RETRY_S
        try:
            answer, connection = done.result()
        except psycopg.Error as error:
            self._unless_given_back(partial(self._holder.on_lost, error))
            return
        if isinstance(answer, NotAcquired):
            self._refused = answer.divided_anew
            self._unless_given_back(partial(self._holder.on_not_acquired, answer))
            return
        self._extend(asked)
        self.owned = self._last = Ownership(
            group_id=self._claim.group_id,
            shard=self._claim.shard,
            token=self._claim.token,
            epoch=answer.epoch,
            generation=answer.generation,
            timeline=answer.timeline,
            connection=connection,
        )
        self._unless_given_back(partial(self._holder.on_acquired, answer))

    def _unless_given_back(self, tell: Callable[[], None]) -> None:
        """Tell the holder, or sign off as it has asked for meanwhile."""
        if self._give_back is None:
            tell()
        else:
            self.release(self._give_back)

    def on_renewed(self, asked: float, owned: Ownership, renewed: bool | None) -> None:
        """What became of a renewal that was asked for at that time."""
        if self.owned is not owned:
            return
        if renewed:
            self._extend(asked)
        elif renewed is None:
            self._holder.on_locked()
        else:
            self._holder.on_lost(NotOwnerError())

    def on_renewal_failed(self, owned: Ownership, error: Exception) -> None:
        """The database is away."""
        if self.owned is owned:
            self._holder.on_lost(error)

    def _extend(self, asked: float) -> None:
        self.deadline = asked + self._claim.lease_ms / 1000

    def release(self, on_done: Callable[[], None]) -> None:
        """Sign off; everything handed over must have been answered. A database that is away is not waited for."""
        self._ask_at = float("inf")
        if self._asking and self.owned is None:
            # The database may say yes, and would keep the cursor for this process until the lease ran out.
            self._give_back = on_done
            return
        owned, self.owned = self.owned, None
        if owned is None and self._refused:
            owned = self._last  # others begin nothing before it is signed off
        if owned is None:
            on_done()
            return

        def answered(done: Future[None]) -> None:
            if isinstance(error := done.exception(), Exception) and not isinstance(error, psycopg.Error):
                raise error
            on_done()

        self._writer.submit(partial(settle.release, owned=owned), answered)


class Renewals:
    """Prolongs all leases of the process by one statement: its idleness costs per database, not per pipeline."""

    def __init__(self, *, writer: Worker, lease_ms: int, clock: Callable[[], float]) -> None:
        """``clock`` is the leases'."""
        self._writer = writer
        self._lease_ms = lease_ms
        self._clock = clock
        self._asking = False
        self._ask_at = 0.0

    def step(self, now: float, leases: Callable[[], Iterable[Lease]]) -> None:
        """Three times in a lease's length; one that was acquired in between is prolonged early."""
        if self._asking or now < self._ask_at:
            return
        self._ask_at = now + self._lease_ms / 3000
        owned = [(lease, lease.owned) for lease in leases() if lease.owned is not None]
        if owned:
            self._asking = True
            self._writer.submit(
                partial(settle.renew, owned=[ownership for _, ownership in owned], lease_ms=self._lease_ms),
                partial(self._on_renewed, now, owned),
            )

    def _on_renewed(
        self,
        asked: float,
        owned: list[tuple[Lease, Ownership]],
        done: Future[dict[tuple[int, int], bool | None]],
    ) -> None:
        self._asking = False
        error = done.exception()
        if error is not None and not isinstance(error, psycopg.Error):
            raise error
        for lease, ownership in owned:
            if error is not None:
                lease.on_renewal_failed(ownership, error)
            else:
                lease.on_renewed(asked, ownership, done.result()[ownership.group_id, ownership.shard])
        if error is None and None in done.result().values():
            self._ask_at = min(self._ask_at, self._clock() + _RETRY_S)
