"""Which pipelines this process should run: read from SQL twice a second, compared with what runs.

Each shard of a pipeline is driven by itself. A pipeline whose version changed, or whose messages are divided among
shards anew, leaves (delivers, settles, signs off) and comes back with its new configuration;
one that was disabled or dropped just leaves. One that can't be built is in error, alone, until its next version.
All others stand by here; those that are this process's share ask for their cursors, and those that another relay
should have leave and come back to stand by.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL

from pg_tide_relay.cursor import Unit
from pg_tide_relay.fair_share import FairShare, UnitSeen
from pg_tide_relay.pipeline import Pipeline
from pg_tide_relay.pipeline_parts import PipelineSpec
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_sql.statements import statement

_EVERY_S: Final = 0.5


Stored = tuple[int, int]
"""Version and division of a pipeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A cursor and its pipeline, in the list of all."""

    pipeline_id: int
    name: str
    version: int
    enabled: bool
    redriving: bool  # whether dead letters of it are to be sent
    shard: int
    division: int  # counts the ways in which its messages were divided among shards
    replay: int | None  # the one that runs or is next; of the first shard
    owner: UUID | None  # while nobody else may have the cursor
    free_in_s: float  # when that ends, if the owner never says anything again
    able: Sequence[UUID]  # relays that live and could drive it

    @property
    def unit(self) -> Unit:
        """Which cursor."""
        return Unit(self.pipeline_id, self.shard)

    @property
    def state(self) -> "Stored":
        """What must not change under a running unit."""
        return self.version, self.division


def _list(conn: Connection) -> list[Listed]:
    with conn.cursor(row_factory=class_row(Listed)) as cur:
        return cur.execute(SQL(statement("pipeline_versions"))).fetchall()


def _load(conn: Connection, unit: Unit) -> PipelineSpec | None:
    with conn.cursor(row_factory=class_row(PipelineSpec)) as cur:
        return cur.execute(SQL(statement("pipeline_load")), unit._asdict()).fetchone()


class Catalogue:
    """The pipelines of this process, each shard by itself."""

    def __init__(
        self,
        *,
        writer: Worker,
        only: Collection[str],
        token: UUID,
        build: Callable[[PipelineSpec], Pipeline | None],
        on_answer: Callable[[psycopg.Error | None], None],
        clock: Callable[[], float],
    ) -> None:
        """``build`` returns None when it has reported why a pipeline can't run; ``on_answer`` hears of the database."""
        self._writer = writer
        self._only = frozenset(only)
        self._build = build
        self._on_answer = on_answer
        self._clock = clock
        self._look_at = 0.0
        self._asked = False
        self._loading: set[Unit] = set()
        self._tried: dict[Unit, Stored] = {}  # what was built, or found impossible to build
        self._token = token
        self._share = FairShare(token)
        self._given: set[Unit] = set()  # leaving, to stand by again
        self.running: dict[Unit, Pipeline] = {}
        self.serves: tuple[int, ...] = ()
        """The pipelines that this process could drive, as others should know."""

    def step(self, now: float) -> None:
        """Forget pipelines that have left; look whether something changed."""
        for unit in [key for key, pipeline in self.running.items() if pipeline.left]:
            del self.running[unit]
            if unit in self._given:
                self._tried.pop(unit, None)
            self._look_at = now
        if self._asked or now < self._look_at:
            return
        self._asked = True
        self._look_at = now + _EVERY_S
        self._writer.submit(_list, self._on_list)

    def _on_list(self, done: Future[list[Listed]]) -> None:
        self._asked = False
        try:
            listed = done.result()
        except psycopg.Error as error:
            self._on_answer(error)
            return
        self._on_answer(None)
        wanted = [one for one in listed if self._is_wanted(one)]
        self._compare({one.unit: one for one in wanted})
        if not self._loading:
            self._take_share(wanted)

    def _is_wanted(self, one: Listed) -> bool:
        return one.enabled and (not self._only or one.name in self._only)

    def _compare(self, wanted: Mapping[Unit, Listed]) -> None:
        for unit, pipeline in self.running.items():
            listed = wanted.get(unit)
            if listed is None or listed.state != (pipeline.spec.version, pipeline.spec.division):
                pipeline.leave()
            else:
                pipeline.replay(listed.replay)
                if listed.redriving:
                    pipeline.redrive()
        for unit, listed in wanted.items():
            known = unit in self.running or unit in self._loading
            if not known and self._tried.get(unit) != listed.state:
                self._loading.add(unit)
                self._writer.submit(partial(_load, unit=unit), partial(self._on_loaded, unit))
        self._tried = {key: state for key, state in self._tried.items() if key in wanted}

    def _on_loaded(self, unit: Unit, done: Future[PipelineSpec | None]) -> None:
        self._loading.discard(unit)
        self._given.discard(unit)
        try:
            spec = done.result()
        except psycopg.Error as error:
            self._on_answer(error)
            return
        if spec is None or not spec.enabled:
            return
        pipeline = self._build(spec)
        self._tried[unit] = (spec.version, spec.division)
        if pipeline is not None:
            self.running[unit] = pipeline
        if not self._loading:
            self._say_what_it_serves()
            self._look_at = 0.0  # for the share of what has just been loaded

    # -- this process's share ------------------------------------------------------------------------

    def _say_what_it_serves(self) -> None:
        serves = tuple(sorted({unit.pipeline_id for unit in self.running.keys() | self._given}))
        if serves != self.serves:
            self.serves = serves

    def _take_share(self, wanted: Sequence[Listed]) -> None:
        now = self._clock()
        self._given &= {one.unit for one in wanted}
        self._say_what_it_serves()
        seen = [UnitSeen(unit=one.unit, owner=one.owner, able=frozenset(one.able)) for one in wanted]
        stuck = {unit for unit, pipeline in self.running.items() if pipeline.is_stuck}
        share = self._share.decide(
            seen, runs=self.serves, kept=stuck - self._given, giving=self._given, now=now
        )
        for unit, pipeline in self.running.items():
            pipeline.lease.want(unit in share.mine and unit not in share.gives)
            if unit in share.gives and unit not in self._given:
                self._given.add(unit)
                pipeline.leave(given_back=True)
        for one in wanted:
            if one.owner not in (None, self._token, *one.able) and 0 < one.free_in_s < _EVERY_S:
                # Its owner has died: ask when it may be had, not half a second later.
                self._look_at = min(self._look_at, now + one.free_in_s)
