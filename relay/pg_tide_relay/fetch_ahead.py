"""Where fetching stands in one pipeline: ahead of what is delivered, and far ahead of what is settled.

Pages are asked for while earlier ones are in flight. Everything here is memory, and memory dies with the
connection it was read on: ``forget`` raises a number, and answers to questions asked before it are dropped.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Protocol
from uuid import uuid4

import psycopg

from pg_tide_relay.cursor import Position
from pg_tide_relay.poll import Page, PollError, WindowsOpened, WindowWanted, read_page
from pg_tide_relay.postgres import Worker


class PageSink(Protocol):
    """Who takes the pages: the pipeline."""

    def on_page(self, page: Page, after: Position, before: Position) -> None:
        """Take a page; ``after`` is the position once all of it is settled."""

    def on_window(self, opened: WindowsOpened) -> bool:
        """Whether an opened window counts."""

    def on_fetch_failed(self, error: Exception) -> None:
        """The database is away, or can't be read from."""


class FetchAhead:
    """The next page of one pipeline."""

    def __init__(self, *, reader: Worker, outbox_id: int, batch_size: int, sink: PageSink) -> None:
        """Begin with nothing remembered; ``start`` says where to fetch."""
        self._reader = reader
        self._outbox_id = outbox_id
        self._batch_size = batch_size
        self._sink = sink
        self._memory = 0
        self._position: Position | None = None
        self._connection: int | None = None  # that the window was read on; None: the database remembers it
        self._asked = False
        self.seen: str | None = None
        """The snapshot of the last look, which found nothing; None: look again in any case."""

    def start(self, position: Position) -> None:
        """Fetch from here."""
        self.forget()
        self._position = position

    def forget(self) -> None:
        """Drop what is remembered; answers that are still under way will be dropped, too."""
        self._memory += 1
        self._position = self._connection = None
        self._asked = False
        self.seen = None

    def wants_window(self) -> WindowWanted | None:
        """What to ask for when the pipeline stands between two windows."""
        at = self._position
        if at is None or self._asked or at.replaying or at.cur is not None:
            return None
        return WindowWanted(outbox_id=self._outbox_id, prev=at.prev)

    def asks_window(self, pipeline_id: int) -> Callable[[Future[WindowsOpened]], None]:
        """The question goes out; returns what takes the answer."""
        self._asked = True
        return partial(self._on_windows, self._memory, pipeline_id)

    def _on_windows(self, memory: int, pipeline_id: int, done: Future[WindowsOpened]) -> None:
        if memory != self._memory or self._position is None:
            return
        self._asked = False
        try:
            opened = done.result()
        except (psycopg.Error, PollError) as error:
            self._sink.on_fetch_failed(error)
            return
        if opened.timeline is not None and not self._sink.on_window(opened):
            return
        first_id = opened.first_ids.get(pipeline_id)
        if first_id is None:
            # An empty window is thrown away: prev in memory never runs ahead of the database's.
            self.seen = opened.snapshot
            return
        self.seen = None
        self._connection = self._reader.connection
        self._position = self._position.open(opened.snapshot, first_id, uuid4())

    def fetch(self) -> bool:
        """Ask for the next page if there is one to ask for."""
        at = self._position
        if at is None or self._asked or (at.cur is None and not at.replaying):
            return False
        self._asked = True
        self._reader.submit(
            partial(read_page, outbox_id=self._outbox_id, position=at, size=self._batch_size),
            partial(self._on_page, self._memory, at),
            connection=self._connection,
        )
        return True

    def _on_page(self, memory: int, before: Position, done: Future[Page]) -> None:
        if memory != self._memory:
            return
        self._asked = False
        try:
            page = done.result()
        except (psycopg.Error, PollError) as error:
            self._sink.on_fetch_failed(error)
            return
        after = before.exhausted() if page.is_last else before.at(page.rows[-1][0])
        self._position = after
        self._connection = self._connection or self._reader.connection
        self._sink.on_page(page, after, before)
