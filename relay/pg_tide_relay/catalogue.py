"""Which pipelines this process should run: read from SQL twice a second, compared with what runs.

A pipeline whose version changed leaves (delivers, settles, signs off) and comes back with its new configuration;
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

from pg_tide_relay.fair_share import FairShare, Unit, UnitSeen
from pg_tide_relay.pipeline import Pipeline
from pg_tide_relay.pipeline_parts import PipelineSpec
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_sql.statements import statement

_EVERY_S: Final = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A cursor and its pipeline in the list of all."""

    pipeline_id: int
    name: str
    version: int
    enabled: bool
    redriving: bool  # whether dead letters of it are to be sent
    shard: int
    owner: UUID | None  # while nobody else may have the cursor
    free_in_s: float  # when that ends, if the owner never says anything again
    able: Sequence[UUID]  # relays that live and could drive it

    @property
    def unit(self) -> Unit:
        """Which cursor."""
        return Unit(self.pipeline_id, self.shard)


def _list(conn: Connection) -> list[Listed]:
    with conn.cursor(row_factory=class_row(Listed)) as cur:
        return cur.execute(SQL(statement("pipeline_versions"))).fetchall()


def _load(conn: Connection, pipeline_id: int) -> PipelineSpec | None:
    with conn.cursor(row_factory=class_row(PipelineSpec)) as cur:
        return cur.execute(SQL(statement("pipeline_load")), {"pipeline_id": pipeline_id}).fetchone()


class Catalogue:
    """The pipelines of this process, by number."""

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
        self._loading: set[int] = set()
        self._tried: dict[int, int] = {}  # version that was built, or found impossible to build
        self._token = token
        self._share = FairShare(token)
        self._given: set[int] = set()  # leaving, to stand by again
        self.running: dict[int, Pipeline] = {}
        self.serves: tuple[int, ...] = ()
        """The pipelines that this process could drive, as others should know."""

    def step(self, now: float) -> None:
        """Forget pipelines that have left; look whether something changed."""
        for pipeline_id in [key for key, pipeline in self.running.items() if pipeline.left]:
            del self.running[pipeline_id]
            if pipeline_id in self._given:
                self._tried.pop(pipeline_id, None)
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
        self._compare({one.pipeline_id: one for one in wanted})
        if not self._loading:
            self._take_share(wanted)

    def _is_wanted(self, one: Listed) -> bool:
        return one.enabled and (not self._only or one.name in self._only)

    def _compare(self, wanted: Mapping[int, Listed]) -> None:
        for pipeline_id, pipeline in self.running.items():
            listed = wanted.get(pipeline_id)
            if listed is None or listed.version != pipeline.spec.version:
                pipeline.leave()
            elif listed.redriving:
                pipeline.redrive()
        for pipeline_id, listed in wanted.items():
            known = pipeline_id in self.running or pipeline_id in self._loading
            if not known and self._tried.get(pipeline_id) != listed.version:
                self._loading.add(pipeline_id)
                self._writer.submit(
                    partial(_load, pipeline_id=pipeline_id), partial(self._on_loaded, pipeline_id)
                )
        self._tried = {key: version for key, version in self._tried.items() if key in wanted}

    def _on_loaded(self, pipeline_id: int, done: Future[PipelineSpec | None]) -> None:
        self._loading.discard(pipeline_id)
        self._given.discard(pipeline_id)
        try:
            spec = done.result()
        except psycopg.Error as error:
            self._on_answer(error)
            return
        if spec is None or not spec.enabled:
            return
        pipeline = self._build(spec)
        self._tried[pipeline_id] = spec.version
        if pipeline is not None:
            self.running[pipeline_id] = pipeline
        if not self._loading:
            self._say_what_it_serves()
            self._look_at = 0.0  # for the share of what has just been loaded

    # -- this process's share ------------------------------------------------------------------------

    def _say_what_it_serves(self) -> None:
        serves = tuple(sorted(self.running.keys() | self._given))
        if serves != self.serves:
            self.serves = serves

    def _take_share(self, wanted: Sequence[Listed]) -> None:
        now = self._clock()
        self._given &= {one.pipeline_id for one in wanted}
        self._say_what_it_serves()
        seen = [UnitSeen(unit=one.unit, owner=one.owner, able=frozenset(one.able)) for one in wanted]
        giving = {Unit(key, 0) for key in self._given}
        stuck = {Unit(key, 0) for key, pipeline in self.running.items() if pipeline.is_stuck}
        share = self._share.decide(seen, runs=self.serves, kept=stuck - giving, giving=giving, now=now)
        for pipeline_id, pipeline in self.running.items():
            unit = Unit(pipeline_id, 0)
            pipeline.lease.want(unit in share.mine and unit not in share.gives)
            if unit in share.gives and pipeline_id not in self._given:
                self._given.add(pipeline_id)
                pipeline.leave(given_back=True)
        for one in wanted:
            if one.owner not in (None, self._token, *one.able) and 0 < one.free_in_s < _EVERY_S:
                # Its owner has died: ask when it may be had, not half a second later.
                self._look_at = min(self._look_at, now + one.free_in_s)
