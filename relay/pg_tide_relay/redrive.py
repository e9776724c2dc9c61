"""Sends the dead letters of one pipeline that somebody asked for, beside its messages.

By a delivery of its own, so that a letter that fails again never holds up messages. Order within a key is kept by the
database: what is parked behind a letter is marked to be sent when its turn has come, and the key's new messages are
parked until nothing of it is open any more; only then does the pipeline send them itself.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final, NamedTuple, cast

import psycopg
from psycopg.sql import SQL

from pg_tide_relay.cursor import Ownership
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.delivery_state import DeliveryState, Log, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.failpoints import hit
from pg_tide_relay.lease import Lease
from pg_tide_relay.poll import PollError, RedrivePage, read_redrive_page
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_relay.settle import NotOwnerError, described
from pg_tide_relay.shards import Mine
from pg_tide_relay.window import Batch, DeadLetter, Outcome
from pg_tide_sql.statements import statement

_RETRY_S: Final = 1.0


class RedriveOf(NamedTuple):
    """Whose dead letters."""

    pipeline_id: int
    version: int
    page_size: int
    mine: Mine  # picks those that fall to this shard


class Redriven(NamedTuple):
    """What became of a page of dead letters, by their numbers."""

    delivered: Sequence[int]
    waiting: Sequence[int]  # not sent: an earlier one of their key failed again
    failed: Sequence[int]
    troubles: Sequence[Trouble | None]  # of those that failed


def settle_redriven(
    conn: Connection, owned: Ownership, pipeline_id: int, version: int, redriven: Redriven
) -> Sequence[bytes] | None:
    """Write down what became of them; the ordering keys that are free again, None: ask again. Raises NotOwnerError."""
    values: dict[str, Any] = {
        "pipeline_id": pipeline_id,
        "group_id": owned.group_id,
        "shard": owned.shard,
        "token": owned.token,
        "epoch": owned.epoch,
        "version": version,
        "delivered": list(redriven.delivered),
        "waiting": list(redriven.waiting),
        "failed": list(redriven.failed),
        **described(redriven.troubles),
    }
    hit("before_redrive_settle")
    with conn.transaction():
        row = conn.execute(SQL(statement("redrive_settle")), values).fetchone()
    hit("after_redrive_settle")
    if row is None:
        raise NotOwnerError
    return cast("Sequence[bytes] | None", row[0])


def _read_own(conn: Connection, of: RedriveOf) -> RedrivePage:
    """The next page with letters of this shard: what others are slow to send must not hide it."""
    page = read_redrive_page(conn, of.pipeline_id, of.page_size)
    while page.rows:
        kept = {id(row) for row in of.mine(page.rows)}
        if kept:
            places = [place for place, row in enumerate(page.rows) if id(row) in kept]
            return RedrivePage(
                rows=[page.rows[place] for place in places],
                numbers=[page.numbers[place] for place in places],
                asked=[page.asked[place] for place in places],
            )
        page = read_redrive_page(conn, of.pipeline_id, of.page_size, after=page.rows[-1][0])
    return page


class Redrive:
    """One page after the other: read, deliver, settle. For the pipeline's thread; nothing here waits."""

    def __init__(
        self,
        *,
        of: RedriveOf,
        reader: Worker,
        writer: Worker,
        lease: Lease,
        new_delivery: Callable[[], Delivery],
        on_free: Callable[[Sequence[bytes]], None],
        on_lost: Callable[[Exception], None],
        log: Log,
    ) -> None:
        """``on_free`` is told which ordering keys have nothing open any more, ``on_lost`` as a settle's would be."""
        self._of = of
        self._reader = reader
        self._writer = writer
        self._lease = lease
        self._new_delivery = new_delivery
        self._on_free = on_free
        self._on_lost = on_lost
        self._log = log
        self._delivery: Delivery | None = None
        self._wanted = False
        self._asked = False  # a read or a settle is under way
        self._batch: Batch | None = None
        self._letters: list[DeadLetter] = []  # of the batch, as far as was told
        self._redriven: Redriven | None = None  # to be written down
        self._now = self._ask_at = 0.0
        self._leaving = False
        self._pass = 0  # answers of an earlier one are nobody's

    def want(self) -> None:
        """There are dead letters to be sent."""
        self._wanted = True

    @property
    def outstanding(self) -> int:
        """Records handed over and not answered yet."""
        return 0 if self._delivery is None else self._delivery.outstanding

    @property
    def state(self) -> DeliveryState | None:
        """What stands in its way, if anything does."""
        state = None if self._delivery is None or self._batch is None else self._delivery.state
        return None if state is None or state.name is StateName.RUNNING else state

    @property
    def is_done(self) -> bool:
        """Whether nothing is on its way, and the database was told everything."""
        return self.outstanding == 0 and not self._asked and self._redriven is None

    def poll(self) -> None:
        """Serve reports, and no more."""
        if self._delivery is not None:
            self._delivery.poll(0.0)

    def step(self, now: float) -> None:
        """Do what can be done now."""
        self._now = now
        delivery = self._delivery
        if delivery is not None:
            delivery.deadline = self._lease.deadline
            delivery.poll(0.0)
        if self._lease.owned is None:
            return
        if delivery is not None and delivery.lost is not None:
            self._on_lost(NotOwnerError())
            return
        self._take_outcomes()
        if self._asked or now < self._ask_at:
            return
        if self._redriven is not None:
            self._settle(self._redriven)
        elif self._batch is None and self._wanted and not self._leaving:
            self._read()

    def forget(self) -> None:
        """What is on its way is awaited and sent again: the cursor is not known to be ours."""
        self._pass += 1
        self._asked = False
        self._batch = self._redriven = None
        if self._delivery is not None and self._delivery.lost is not None:
            self._end()
            self._wanted = True
        elif self._delivery is not None:
            self._delivery.forget()

    def abandon(self) -> None:
        """The lease is lost: hand over nothing more."""
        self.forget()
        self._end()

    def leave(self) -> None:
        """Read nothing more; what is on its way is awaited and written down, the rest stays to be sent."""
        self._leaving = True
        if self._delivery is not None:
            self._delivery.stop_handing_over()

    def close(self) -> None:
        """The pipeline has left."""
        self._end()

    def _end(self) -> None:
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.close()

    def _read(self) -> None:
        if self._delivery is None:
            self._delivery = self._new_delivery()
            self._delivery.deadline = self._lease.deadline
            self._delivery.prepare()
        if not (self._delivery.is_ready and self._delivery.can_accept):
            if self._delivery.state.name in (StateName.STOPPED, StateName.ENDED):
                self._end()
            return
        self._wanted = False
        self._ask(
            self._reader,
            partial(_read_own, of=self._of),
            self._on_page,
        )

    def _on_page(self, page: RedrivePage) -> None:
        if not page.rows or self._leaving:
            return
        if self._delivery is None:
            self._wanted = True
            return
        self._delivery.undelivered.load(())
        self._delivery.resume()
        self._letters = []
        self._batch = Batch(rows=page.rows, position=page)
        self._delivery.submit(self._batch)

    def _take_outcomes(self) -> None:
        """Of the whole page, or of what was answered when the pipeline leaves."""
        if self._delivery is None or self._batch is None:
            return
        batch, is_whole = self._batch, False
        for settled in self._delivery.take_settled():
            self._letters += settled.letters
            is_whole = settled.up_to_id is None
        if is_whole or (self._leaving and self._delivery.outstanding == 0):
            letters = [*self._letters, *(batch.letters[place] for place in sorted(batch.letters))]
            self._batch, self._redriven = None, _redriven(batch, letters)

    def _settle(self, redriven: Redriven) -> None:
        owned = self._lease.owned
        assert owned is not None
        self._ask(
            self._writer,
            partial(
                settle_redriven,
                owned=owned,
                pipeline_id=self._of.pipeline_id,
                version=self._of.version,
                redriven=redriven,
            ),
            partial(self._on_settled, redriven),
        )

    def _on_settled(self, redriven: Redriven, free: Sequence[bytes] | None) -> None:
        if free is None:
            self._ask_at = self._now + _RETRY_S  # another transaction holds the cursor's row
            return
        self._redriven = None
        self._wanted = True
        self._log.info(
            "dead letters sent again", delivered=len(redriven.delivered), failed=len(redriven.failed)
        )
        self._on_free(free)

    def _ask(
        self, worker: Worker, job: Callable[[Connection], Any], on_answer: Callable[[Any], None]
    ) -> None:
        self._asked = True
        worker.submit(job, partial(self._answered, self._pass, on_answer))

    def _answered(self, asked_in: int, on_answer: Callable[[Any], None], done: Future[Any]) -> None:
        if asked_in != self._pass:
            return
        self._asked = False
        try:
            answer = done.result()
        except (psycopg.Error, PollError, NotOwnerError) as error:
            self._wanted = True
            self._on_lost(error)
            return
        on_answer(answer)


def _redriven(batch: Batch, letters: Sequence[DeadLetter]) -> Redriven:
    """What became of the letters of a page, in their order; of those without an outcome nothing."""
    by_outcome: dict[int, list[int]] = {outcome: [] for outcome in Outcome}
    for number, outcome in zip(cast(RedrivePage, batch.position).numbers, batch.outcomes, strict=True):
        by_outcome[outcome].append(number)
    return Redriven(
        delivered=by_outcome[Outcome.DELIVERED] + by_outcome[Outcome.FILTERED],
        waiting=by_outcome[Outcome.PARKED],
        failed=by_outcome[Outcome.DEAD_LETTERED],
        troubles=[letter.trouble for letter in letters if letter.trouble is not None],
    )
