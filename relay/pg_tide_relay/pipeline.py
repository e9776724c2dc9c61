"""One pipeline, driven: fetch, shape, deliver, settle, under a lease.

The sentence that this file implements: *while the cursor is ours, fetch ahead, hand over in order, and settle
the longest prefix of settled messages; when anything we remember may be wrong, wait for what was handed over,
forget the rest and read the cursor again.* Nothing here waits: ``step`` does what can be done now.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain
from typing import Final
from uuid import UUID

import psycopg

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.barrier import Barrier
from pg_tide_relay.beside import beside_of
from pg_tide_relay.cursor import Position
from pg_tide_relay.delivery_state import Log, Trouble
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.fetch_ahead import FetchAhead
from pg_tide_relay.kafka_cursor import DatabaseOlderError, is_durable, named, where_to_go_on
from pg_tide_relay.lease import Lease
from pg_tide_relay.pipeline_parts import Drivers, Phase, PipelineSpec, Recipe
from pg_tide_relay.poll import CursorDoubtError, Page, WindowsOpened, WindowWanted
from pg_tide_relay.postgres_errors import is_outage
from pg_tide_relay.refusals import cursor_in_doubt, older_than_kafka, tell_of_promotion
from pg_tide_relay.report import report_of, report_of_database
from pg_tide_relay.settle import Acquired, Claim, NotAcquired, NotOwnerError
from pg_tide_relay.settling import Settling
from pg_tide_relay.window import Batch

_ASK_AGAIN_S: Final = 5.0
"""How often a cursor that Kafka contradicts is looked at again; whoever repairs it makes the relay look at once."""

_FORGIVEN_AFTER_S: Final = 60.0
"""A failure so long after the last one is a new story: an idle pipeline has nothing to settle in between."""


class Pipeline:
    """See the module's text."""

    def __init__(self, *, spec: PipelineSpec, recipe: Recipe, drivers: Drivers, log: Log) -> None:
        """Stand by; the first ``step`` asks for the cursor."""
        self.spec = spec
        self._recipe = recipe
        self._drivers = drivers
        self._log = log
        self._fetch = FetchAhead(
            reader=drivers.reader,
            outbox_id=spec.outbox_id,
            batch_size=recipe.batch_size,
            sink=self,
            open_window=self._open if recipe.exactly_once else None,
        )
        self.lease = Lease(
            writer=drivers.writer,
            claim=Claim(
                pipeline_id=spec.pipeline_id,
                group_id=spec.group_id,
                shard=spec.shard,
                division=spec.division,
                token=drivers.token,
                relay_id=drivers.relay_id,
                lease_ms=drivers.lease_ms,
                takeover_ms=recipe.takeover_ms,
                exactly_once=recipe.exactly_once,
            ),
            holder=self,
            clock=drivers.clock,
        )
        self._phase = Phase.STANDING_BY
        self._settling = Settling(
            pipeline_id=spec.pipeline_id,
            version=spec.version,
            writer=drivers.writer,
            lease=self.lease,
            on_settled=self._on_settled,
            on_lost=self.on_lost,
            log=log,
        )
        self._delivery = recipe.new_delivery(self._settling.keep)
        self._beside = beside_of(
            spec, recipe, drivers, self.lease, on_free=self._on_free, on_lost=self.on_lost, log=log
        )
        self._barrier = Barrier(writer=drivers.writer, lease=self.lease, on_lost=self.on_lost)
        self._start_at: Position | None = None
        self._known: Sequence[UUID] | None = None  # names that Kafka's newest position may bear
        self._timeline: int | None = None  # of the server that the cursor was read on last
        self._failed_at = 0.0  # the last failure, if nothing was settled since
        self._backoff = Backoff(recipe.retry)
        self._run_at = 0.0
        self._leave_until = 0.0
        self._signing_off = False

    # -- what the main loop asks and says -----------------------------------------------------------

    def wants_window(self) -> WindowWanted | None:
        """What to ask for when the pipeline stands between two windows; the main loop asks for all at once."""
        if self._recipe.exactly_once and not self._delivery.idle:
            return None  # the cursor's row holds one window, and Kafka's position names it
        return self._fetch.wants_window()

    @property
    def seen(self) -> str | None:
        """The snapshot at which the last look found nothing."""
        return self._fetch.seen

    def asks_window(self) -> Callable[[Future[WindowsOpened]], None]:
        """The question goes out; returns what takes the answer."""
        return self._fetch.asks_window(self.spec.unit)

    @property
    def left(self) -> bool:
        """Whether the pipeline has signed off."""
        return self._phase is Phase.LEFT

    @property
    def outstanding(self) -> int:
        """Messages handed over and not answered yet."""
        return self._delivery.outstanding + self._beside.outstanding

    @property
    def is_stuck(self) -> bool:
        """Whether what was handed over is not answered as things are: leaving would cost time, and duplicates."""
        return self.outstanding > 0 and self._delivery.state.name is not StateName.RUNNING

    def redrive(self) -> None:
        """There are dead letters to be sent again."""
        self._beside.redrive.want()

    def replay(self, replay_id: int | None) -> None:
        """The replay that runs or is next, if any."""
        self._beside.replay.want(replay_id)

    def step(self, now: float) -> None:
        """Do what can be done now."""
        if self._phase is Phase.LEFT:
            return
        # Before anything is served, and by a clock of this moment: the process may have been stopped since ``now``.
        self._mind_the_lease(self._drivers.clock())
        self._delivery.poll(0.0)
        self._settling.take(self._delivery.take_settled())
        if self._delivery.lost is not None and self.lease.owned is not None:
            self._on_delivery_lost(self._delivery.lost)
        self.lease.step(now)
        self._settling.step(now)
        self._beside.step(
            now, is_ours=self._phase in (Phase.RUNNING, Phase.LEAVING) and self._barrier.until is None
        )
        self._report()
        if self._phase is Phase.LEAVING:
            self._sign_off_when_done(now)
            return
        if self._phase is Phase.AWAITING and now >= self._run_at and self._is_clear():
            self._run(now)
        if self._phase is Phase.RUNNING:
            self._fetch.fetch(self._delivery.room)
            if self._fetch.stands and self._settling.is_done:
                self._barrier.step(now)

    def leave(self, *, given_back: bool = False) -> None:
        """Stop fetching, await and settle what was handed over, sign off; ``given_back``: for another relay."""
        if self._phase in (Phase.LEAVING, Phase.LEFT):
            return
        if given_back:
            self._log.info("pipeline_given_back", cause="another relay drives fewer pipelines")
        self._fetch.forget()
        self._delivery.stop_handing_over()
        self._beside.leave()
        self._settling.hurry()
        self._leave_until = self._drivers.clock() + self._recipe.request_timeout_ms / 1000
        self._phase = Phase.LEAVING

    def abandon(self) -> None:
        """Leave now, without waiting for answers: what is in flight may still be written."""
        if self._phase is Phase.LEFT:
            return
        self._fetch.forget()
        self._delivery.abandon()
        self._beside.abandon()
        self._phase = Phase.LEFT

    def forget(self) -> None:
        """Something remembered may be wrong: keep the producer, await what it was given, read the cursor again."""
        self._fetch.forget()
        self._delivery.forget()
        self._beside.forget()
        self.lease.forget()
        self._drivers.reporter.forget(self.spec.unit)
        self._settling.forget()
        self._start_at = None
        if self._phase is not Phase.LEAVING:
            self._phase = Phase.STANDING_BY

    # -- lease ---------------------------------------------------------------------------------------

    def on_acquired(self, acquired: Acquired) -> None:
        """The cursor is ours: once nothing handed over earlier is unanswered, go on from what it says."""
        if self._phase in (Phase.LEAVING, Phase.LEFT):
            return
        if self._delivery.state.name in (StateName.STOPPED, StateName.ENDED):
            self._delivery = self._recipe.new_delivery(self._settling.keep)
        self._delivery.deadline = self.lease.deadline
        self._delivery.undelivered.load(acquired.parked)
        self._delivery.buried = acquired.buried
        self._delivery.prepare()
        self._start_at, self._known = acquired.position(), acquired.known_tokens
        self._barrier.until = acquired.barrier
        self._settling.begin(self._start_at)
        self._phase = Phase.AWAITING
        self._log.info(
            "pipeline_acquired",
            epoch=acquired.epoch,
            generation=acquired.generation,
            timeline=acquired.timeline,
        )
        tell_of_promotion(self._log, self._timeline, acquired.timeline)
        self._timeline = acquired.timeline

    def on_not_acquired(self, answer: NotAcquired) -> None:
        """Stand by, or say why the cursor can't be trusted."""
        if self.outstanding and not answer.divided_anew:
            self._delivery.abandon()
            self._beside.abandon()
        if answer.doubt is not None:
            self._drivers.reporter.report(self.spec, cursor_in_doubt(self.spec, answer.doubt))

    def on_lost(self, error: Exception) -> None:
        """The database is away, or somebody moved or took the cursor."""
        if isinstance(error, NotOwnerError):
            self._log.info("cursor_changed", cause="moved, or taken over, by somebody else; it is read again")
        self._fail(error)

    def on_locked(self) -> None:
        """An administrator's open transaction: this pipeline ends with its lease, the others go on."""
        self._log.warning(
            "cursor_locked",
            cause="another transaction holds this cursor's row: the lease can't be prolonged",
            cure=f"End the transaction that changes group {self.spec.consumer_group!r}: see pg_locks.",
        )

    def _mind_the_lease(self, now: float) -> None:
        if self.lease.deadline:
            self._delivery.deadline = self.lease.deadline
        if now >= self.lease.deadline and (self.outstanding or self.lease.owned is not None):
            # Somebody else may drive this pipeline now: nothing of ours may follow what they send.
            in_flight = self.outstanding
            if in_flight:
                self._delivery.abandon()
                self._beside.abandon()
            self.forget()
            self._log.warning("lease_ran_out", in_flight=in_flight)

    # -- fetch and deliver ---------------------------------------------------------------------------

    def _is_clear(self) -> bool:
        """Whether nothing that was handed over under an earlier memory is unanswered."""
        return self._delivery.is_ready and self._delivery.can_accept and self._beside.outstanding == 0

    def _run(self, now: float) -> None:
        if self._start_at is None:
            return  # it is being opened
        try:
            start_at = where_to_go_on(self._start_at, self._known, self._delivery.mark)
        except DatabaseOlderError:
            self._drivers.reporter.report(self.spec, older_than_kafka(self.spec))
            self._run_at = now + _ASK_AGAIN_S
            return
        self._start_at = None
        if self._recipe.exactly_once and not is_durable(start_at, self._known):
            start_at = named(start_at)
            self._open(start_at, partial(self._run_from, start_at))
        else:
            self._run_from(start_at)

    def _run_from(self, position: Position) -> None:
        if self._phase is Phase.AWAITING:
            self._delivery.resume()
            self._fetch.start(position, self._barrier.until)
            self._phase = Phase.RUNNING

    def _open(self, position: Position, on_open: Callable[[], None]) -> None:
        mark = self._delivery.mark
        self._settling.open(position, None if mark is None else mark.token, on_open)

    def _on_delivery_lost(self, trouble: Trouble) -> None:
        """Whether its last transaction was committed is known to Kafka only: begin again with what it says."""
        self._log.warning(
            "transaction_in_doubt",
            error_class=str(trouble.error_class),
            error_code=trouble.code,
            cause=trouble.cause,
        )
        self._fail(NotOwnerError())

    def on_page(self, page: Page, after: Position, before: Position) -> None:
        """Hand a page over, having asked for the next; an empty one still carries the end of its window."""
        self._fetch.fetch(self._delivery.room - 1)
        self._delivery.submit(Batch(rows=self._recipe.mine(page.rows), position=(before, after)))

    def on_window(self, opened: WindowsOpened) -> bool:
        """Whether the window counts: it was opened on the timeline that the cursor was read on."""
        owned = self.lease.owned
        if owned is not None and opened.timeline != owned.timeline:
            self.forget()
            return False
        return owned is not None

    def on_fetch_failed(self, error: Exception) -> None:
        """Forget; a server that can't be read from is said in the state."""
        if isinstance(error, CursorDoubtError):
            self._drivers.reporter.report(self.spec, cursor_in_doubt(self.spec, str(error)))
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Forget, and begin again: at once the first time the cursor was moved, else with growing pauses.

        Without them a fault that stays, such as a missing right, would send the same messages again and again.
        """
        was_ours = self.lease.owned is not None
        self.forget()
        pause_s = None
        if was_ours:  # else nothing was begun: asking for the cursor has a pace of its own
            pause_s = self._pause(at_once=isinstance(error, NotOwnerError))
        if isinstance(error, psycopg.Error) and not is_outage(error):
            said = report_of_database(error, self._backoff.attempts or None, pause_s)
            self._log.warning("database_refuses", sqlstate=said.error_code, cause=said.error, cure=said.cure)
            self._drivers.reporter.report(self.spec, said)

    def _pause(self, *, at_once: bool) -> float | None:
        now, pause_s = self._drivers.clock(), None
        if now - self._failed_at > _FORGIVEN_AFTER_S:
            self._backoff.reset()
        elif self._failed_at > 0.0:
            at_once = False
        if not at_once:
            pause_s = self._backoff.next_s()
            self._run_at = now + pause_s
        self._failed_at = now
        return pause_s

    def _on_free(self, keys: Sequence[bytes]) -> None:
        """Nothing of these ordering keys is open in the database; what it was not told of yet keeps its key parked."""
        waiting = {letter.key for letter in chain(self._settling.untold(), self._delivery.untold())}
        self._delivery.undelivered.parked.difference_update(key for key in keys if key not in waiting)
        if keys and self._delivery.state.name is StateName.STOPPED:
            self.forget()  # it may have stopped because too many keys were parked

    def _on_settled(self) -> None:
        self._failed_at = self._run_at = 0.0
        self._backoff.reset()

    # -- leaving and reporting -----------------------------------------------------------------------

    def _sign_off_when_done(self, now: float) -> None:
        if self._signing_off or not self._is_answered(now):
            return
        self._settling.take(self._delivery.take_settled())
        if not self._settling.is_done or not (self._beside.is_done or self.outstanding):
            return
        self._signing_off = True
        unanswered = self.outstanding
        self._delivery.close()
        self._beside.close()
        if unanswered:
            # No word to a successor: it has to wait, as after a relay that died with requests under way.
            self._log.warning("left_unanswered", in_flight=unanswered)
            self._phase = Phase.LEFT
        else:
            self.lease.release(self._has_left)

    def _is_answered(self, now: float) -> bool:
        """Whether leaving need not wait: all is answered, or nothing will be while things are as they are."""
        if self.outstanding == 0:
            return True
        return self._delivery.state.name is not StateName.RUNNING and now >= self._leave_until

    def _has_left(self) -> None:
        self._phase = Phase.LEFT
        self._log.info("pipeline_released")

    def _report(self) -> None:
        state = self._delivery.state
        if state.name is StateName.RUNNING:
            state = self._beside.redrive.state or state
        is_under_way = self._phase in (Phase.RUNNING, Phase.LEAVING) or (
            self._phase is Phase.AWAITING
            and not self._delivery.is_ready
            and state.name is not StateName.RUNNING
        )
        if self.lease.owned is None or not is_under_way or state.name is StateName.ENDED:
            return
        self._drivers.reporter.report(self.spec, report_of(state))
