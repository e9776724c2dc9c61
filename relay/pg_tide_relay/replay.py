"""Sends messages again that somebody asked for, beside the cursor, which stays where it is.

By a delivery of its own, so that a copy that can't be delivered never holds up messages. One replay of a pipeline at a
time, in id order; how far it is stands in the database, so that whoever owns the cursor next goes on there. A copy
that can't be delivered is counted. What stands in the way of all of them (a topic that is missing, the cluster) is
waited for, and said in ``tide.replays``, not in the pipeline's state.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

import psycopg

from pg_tide_relay.cursor import Ownership
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.delivery_state import Log, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ConfigurationError, ErrorClass
from pg_tide_relay.lease import Lease
from pg_tide_relay.poll import PollError
from pg_tide_relay.postgres import Worker
from pg_tide_relay.redrive import RedriveOf
from pg_tide_relay.replay_store import (
    Progress,
    ReplayOrder,
    ReplayPage,
    begin_replay,
    read_replay_page,
    settle_replay,
)
from pg_tide_relay.report import PipelineReport, report_of
from pg_tide_relay.settle import CursorLockedError, NotOwnerError
from pg_tide_relay.window import Batch, DeadLetter, Outcome, Settled

_RETRY_S: Final = 1.0
"""Pause where another transaction holds a row."""

_SETTLE_S: Final = 0.2
"""How often progress is written, at most."""

_LAST_ANSWERS_S: Final = 2.0
"""How long the answers of a replay that was cancelled are waited for; then what is on its way is taken back."""


class Replay:
    """The replays of one pipeline, one after the other. For the pipeline's thread; nothing here waits."""

    def __init__(
        self,
        *,
        of: RedriveOf,
        relay_id: str,
        reader: Worker,
        writer: Worker,
        lease: Lease,
        new_delivery: Callable[[ReplayOrder], Delivery],
        on_lost: Callable[[Exception], None],
        log: Log,
    ) -> None:
        """``on_lost`` is told that the cursor is not what this relay remembers."""
        self._of = of
        self._relay_id = relay_id
        self._reader = reader
        self._writer = writer
        self._lease = lease
        self._new_delivery = new_delivery
        self._on_lost = on_lost
        self._log = log
        self._wanted: int | None = None  # the one that runs or is next, as the database said last
        self._leaving = False
        self._now = self._ask_at = self._settle_at = 0.0
        self._pass = 0  # answers of an earlier one are nobody's
        self._delivery: Delivery | None = None
        self._of_replay: int | None = None  # whose delivery that is
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._reading = self._writing = False
        self._order: ReplayOrder | None = None
        self._read_up_to = 0
        self._batch: Batch | None = None
        self._counted = 0  # messages of the batch that are in the progress
        self._progress = Progress(position=0)  # to be written
        self._said: PipelineReport | None = None  # written last
        self._what: str | None = None  # how it ended: to be written
        self._ended_at: float | None = None  # somebody else ended it, then

    def want(self, replay_id: int | None) -> None:
        """The replay that runs or is next; another than the one under way: that one was cancelled."""
        self._wanted = replay_id
        if self._order is not None and replay_id != self._order.replay_id and self._what is None:
            self._stop()

    @property
    def outstanding(self) -> int:
        """Records handed over and not answered yet."""
        return 0 if self._delivery is None else self._delivery.outstanding

    @property
    def is_done(self) -> bool:
        """Whether nothing is on its way, and the database was told everything."""
        is_told = self._lease.owned is None or (self._progress.is_empty and self._what is None)
        return self.outstanding == 0 and not self._writing and is_told

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
        owned = self._lease.owned
        if owned is None:
            return
        if delivery is not None and delivery.lost is not None:
            self._on_lost(NotOwnerError())
            return
        self._take_outcomes()
        if self._order is None:
            if self._wanted is not None and not self._leaving and not self._writing and now >= self._ask_at:
                self._begin(owned)
            return
        self._read_on(self._order)
        self._settle(owned, self._order)

    def forget(self) -> None:
        """What is on its way is awaited and sent again: the cursor is not known to be ours."""
        self._pass += 1
        self._begin_anew()
        if self._delivery is not None and self._delivery.lost is not None:
            self.close()
        elif self._delivery is not None:
            self._delivery.forget()

    def abandon(self) -> None:
        """The lease is lost: hand over nothing more."""
        self.forget()
        self.close()

    def leave(self) -> None:
        """Read nothing more; what is on its way is awaited and written down, the rest is for whoever comes next."""
        self._leaving = True
        self._settle_at = 0.0
        if self._delivery is not None:
            self._delivery.stop_handing_over()

    def close(self) -> None:
        """The pipeline has left, or the next replay needs another delivery."""
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            delivery.close()

    # -- begin and end -------------------------------------------------------------------------------

    def _begin(self, owned: Ownership) -> None:
        self._writing = True
        job = partial(begin_replay, owned=owned, pipeline_id=self._of.pipeline_id, relay_id=self._relay_id)
        self._writer.submit(job, partial(self._answered, self._pass, self._on_begun))

    def _on_begun(self, done: Future[ReplayOrder | None]) -> None:
        self._writing = False
        try:
            order = done.result()
        except CursorLockedError:
            self._ask_at = self._now + _RETRY_S
            return
        if order is None:
            self._wanted = None
            return
        self._order = order
        self._read_up_to = order.last_position
        self._progress = Progress(position=order.last_position)
        self._log.info("replay_begins", replay_id=order.replay_id, position=order.last_position)
        try:
            self._prepare(order)
        except ConfigurationError as error:
            self._fail(
                PipelineReport(
                    state="error",
                    error_class=ErrorClass.CONFIGURATION,
                    error_code="TD020",
                    error=str(error),
                    cure="Ask for it again with another to_topic, or correct the pipeline's configuration first.",
                )
            )

    def _prepare(self, order: ReplayOrder) -> None:
        """A delivery for it; the one at hand, where it was interrupted and what it had sent is answered."""
        if self._delivery is not None and (
            self._of_replay != order.replay_id or not self._delivery.can_accept
        ):
            self.close()
        if self._delivery is None:
            self._delivery = self._new_delivery(order)
            self._of_replay = order.replay_id
            self._delivery.prepare()
        self._delivery.deadline = self._lease.deadline
        self._delivery.undelivered.load(())
        self._delivery.resume()

    def _fail(self, said: PipelineReport) -> None:
        self._what, self._said = "failed", said
        self._settle_at = 0.0
        self._log.warning("replay_failed", cause=said.error, cure=said.cure)

    def _stop(self) -> None:
        """Somebody ended it: nothing more is handed over."""
        if self._ended_at is None:
            self._ended_at = self._now
            if self._delivery is not None:
                self._delivery.stop_handing_over()

    def _end(self, state: str) -> None:
        assert self._order is not None
        self._log.info("replay_ends", replay_id=self._order.replay_id, state=state)
        self.close()
        self._pass += 1
        self._begin_anew()

    # -- read and deliver ----------------------------------------------------------------------------

    def _read_on(self, order: ReplayOrder) -> None:
        """The next page, once the one before is done."""
        is_over = self._leaving or self._ended_at is not None or self._what is not None
        if is_over or self._reading or self._batch is not None or self._now < self._ask_at:
            return
        if self._read_up_to >= order.until_id:
            self._what = "done"
            self._settle_at = 0.0
            return
        if self._delivery is None or not (self._delivery.is_ready and self._delivery.can_accept):
            self._recover(order)
            return
        self._reading = True
        job = partial(
            read_replay_page,
            replay_id=order.replay_id,
            behind_id=self._read_up_to,
            size=self._of.page_size,
        )
        self._reader.submit(job, partial(self._answered, self._pass, self._on_page))

    def _on_page(self, done: Future[ReplayPage | None]) -> None:
        self._reading = False
        page = done.result()
        if page is None:  # its pipeline is being dropped
            self._stop()
            return
        if self._leaving or self._ended_at is not None or self._delivery is None:
            return
        if not page.rows:
            self._pass_to(page.up_to)
            return
        self._batch = Batch(rows=page.rows, position=page)
        self._counted = 0
        for place, is_letter in enumerate(page.letters):
            if is_letter:
                self._batch.outcomes[place] = Outcome.PARKED
        self._delivery.submit(self._batch)

    def _recover(self, order: ReplayOrder) -> None:
        """A delivery that ended by itself: stopped for good, or fenced by a successor that may be this relay."""
        state = None if self._delivery is None else self._delivery.state
        if state is not None and state.name is StateName.STOPPED:
            self._fail(report_of(state))
        elif state is None or state.name is StateName.ENDED:
            self.close()
            self._ask_at = self._now + _RETRY_S
            self._prepare(order)

    def _take_outcomes(self) -> None:
        """Of all messages up to the first without an outcome."""
        delivery, batch = self._delivery, self._batch
        if delivery is None or batch is None:
            return
        for settled in delivery.take_settled():
            self._count(settled)
        if self._batch is not None and delivery.state.name in (StateName.STOPPED, StateName.ENDED):
            self._batch = None
            self._read_up_to = self._progress.position

    def _count(self, settled: Settled) -> None:
        batch, is_whole = settled.batch, settled.up_to_id is None
        end = len(batch.outcomes) if is_whole else batch.told
        position = cast(ReplayPage, batch.position).up_to if is_whole else batch.id_at(end - 1)
        self._progress = self._progress.plus(
            _progress_of(position, batch.outcomes[self._counted : end], settled.letters)
        )
        self._counted = end
        if is_whole:
            self._batch = None
            self._read_up_to = position

    def _pass_to(self, position: int) -> None:
        """Nothing is to be sent up to there."""
        self._read_up_to = position
        self._progress = replace(self._progress, position=position)

    # -- settle --------------------------------------------------------------------------------------

    def _settle(self, owned: Ownership, order: ReplayOrder) -> None:
        if self._ended_at is not None and self.outstanding:
            if self._now >= self._ended_at + _LAST_ANSWERS_S:
                self.close()
            return
        said = self._said if self._what == "failed" else self._trouble()
        is_news = said != self._said or not self._progress.is_empty or self._what is not None
        if self._ended_at is not None and self._progress.is_empty and not self._writing:
            self._end("cancelled")
            return
        if self._writing or self._now < max(self._settle_at, self._ask_at) or not is_news:
            return
        self._writing = True
        self._settle_at = self._now + _SETTLE_S
        progress, self._progress = self._progress, Progress(position=self._progress.position)
        job = partial(
            settle_replay,
            owned=owned,
            replay_id=order.replay_id,
            progress=progress,
            what=self._what,
            said=said,
        )
        on_settled = partial(self._on_settled, progress, said)
        self._writer.submit(job, partial(self._answered, self._pass, on_settled))

    def _trouble(self) -> PipelineReport | None:
        """What stands in its way."""
        delivery = self._delivery
        if delivery is None or (self._batch is None and delivery.is_ready):
            return None
        state = delivery.state
        if state.name is StateName.RUNNING:
            return None
        return replace(report_of(state), attempts=None, next_attempt_at=None, throttled_ms=None)

    def _on_settled(self, progress: Progress, said: PipelineReport | None, done: Future[str]) -> None:
        self._writing = False
        try:
            state = done.result()
        except CursorLockedError:
            self._ask_at = self._now + _RETRY_S
            self._progress = progress.plus(self._progress)
            return
        if self._what is None:
            self._said = said
        if state == "running":
            return
        if self._what is not None:
            self._end(state)
        else:
            self._stop()

    def _answered(self, asked_in: int, on_answer: Callable[[Future[Any]], None], done: Future[Any]) -> None:
        if asked_in != self._pass:
            return
        try:
            on_answer(done)
        except (psycopg.Error, PollError, NotOwnerError) as error:
            self._on_lost(error)


def _progress_of(position: int, outcomes: Sequence[int], letters: Sequence[DeadLetter]) -> Progress:
    """What became of messages that all have an outcome."""
    counts = [outcomes.count(outcome) for outcome in Outcome]
    first = next((letter for letter in letters if letter.trouble is not None), None)
    return Progress(
        position=position,
        sent=counts[Outcome.DELIVERED] + counts[Outcome.DELIVERED_BEFORE],
        filtered=counts[Outcome.FILTERED],
        failed=counts[Outcome.DEAD_LETTERED],
        left_out=counts[Outcome.PARKED],
        first_failed_id=None if first is None else first.message_id,
        first_error=None if first is None or first.trouble is None else _said_of(first.trouble),
    )


def _said_of(trouble: Trouble) -> str:
    code = f"{trouble.code}: " if trouble.code else ""
    where = f" (topic {trouble.topic})" if trouble.topic else ""
    return f"{code}{trouble.cause}{where}"
