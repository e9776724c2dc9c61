"""Which pipelines this process should run: read from SQL twice a second, compared with what runs.

Each shard of a pipeline is driven by itself. A pipeline whose version changed, or whose messages are divided among
shards anew, leaves (delivers, settles, signs off) and comes back with its new configuration;
one that was disabled or dropped just leaves. One that can't be built is in error, alone, until its next version.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL

from pg_tide_relay.cursor import Unit
from pg_tide_relay.pipeline import Pipeline
from pg_tide_relay.pipeline_parts import PipelineSpec
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_sql.statements import statement

_EVERY_S: Final = 0.5


Stored = tuple[int, int]
"""Version and division of a pipeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A shard of a pipeline in the list of all."""

    pipeline_id: int
    name: str
    version: int
    enabled: bool
    redriving: bool  # whether dead letters of it are to be sent
    shard: int
    division: int  # counts the ways in which its messages were divided among shards
    replay: int | None  # the one that runs or is next; of the first shard

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
        build: Callable[[PipelineSpec], Pipeline | None],
        on_answer: Callable[[psycopg.Error | None], None],
    ) -> None:
        """``build`` returns None when it has reported why a pipeline can't run; ``on_answer`` hears of the database."""
        self._writer = writer
        self._only = frozenset(only)
        self._build = build
        self._on_answer = on_answer
        self._look_at = 0.0
        self._asked = False
        self._loading: set[Unit] = set()
        self._tried: dict[Unit, Stored] = {}  # what was built, or found impossible to build
        self.running: dict[Unit, Pipeline] = {}

    def step(self, now: float) -> None:
        """Forget pipelines that have left; look whether something changed."""
        for unit in [key for key, pipeline in self.running.items() if pipeline.left]:
            del self.running[unit]
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
        self._compare({Unit(one.pipeline_id, one.shard): one for one in listed if self._is_wanted(one)})

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
