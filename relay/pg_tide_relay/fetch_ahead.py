"""Where fetching stands in one pipeline: ahead of what is delivered, and far ahead of what is settled.

Pages are asked for while earlier ones are in flight, two at a time: the main thread holds the interpreter's lock
while it hands a page over, so an answer waits for it and the next question would. Everything here is memory, and
memory dies with the connection it was read on: ``forget`` drops the pass that is under way, and its answers.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol
from uuid import uuid4

import psycopg

from pg_tide_relay.cursor import Position, Unit
from pg_tide_relay.poll import Page, PollError, WindowsOpened, WindowWanted, open_windows, read_page
from pg_tide_relay.postgres import Connection, ConnectionChangedError, Worker


class PageSink(Protocol):
    """Who takes the pages: the pipeline."""

    def on_page(self, page: Page, after: Position, before: Position) -> None:
        """Take a page; ``after`` is the position once all of it is settled."""

    def on_window(self, opened: WindowsOpened) -> bool:
        """Whether an opened window counts."""

    def on_fetch_failed(self, error: Exception) -> None:
        """The database is away, or can't be read from."""


OpenWindow = Callable[[Position, Callable[[], None]], None]
"""Makes a window durable, then calls back."""

_PAGES_ASKED: Final = 2
"""Questions on their way. One more gains nothing, measured; one fewer costs a seventh of the rate."""


def look(
    conn: Connection, *, reader: Worker, wanted: Mapping[Unit, WindowWanted], seen: str | None
) -> WindowsOpened:
    """``open_windows`` as a job of the reading worker: says on which of its connections."""
    return replace(open_windows(conn, wanted, seen), connection=reader.connection)


@dataclass(slots=True)
class _Way:
    """The way through one window or one replay pass; the reading worker moves it, one page after the other."""

    at: Position  # behind the last page that was read
    connection: int | None  # that its window was read on; None: the database remembers it
    is_over: bool = False  # nothing is left, or a page could not be read
    asked: int = 0  # pages on their way; the main thread's


def _next_page(
    conn: Connection, *, reader: Worker, way: _Way, outbox_id: int, size: int
) -> tuple[Page, Position, Position] | None:
    """A page with the positions before and behind it; None: the one before it was the last.

    Where a page begins is known once the one before it was read: here, without asking the main thread.
    """
    if way.is_over:
        return None
    before, way.connection = way.at, way.connection or reader.connection
    try:
        if way.connection != reader.connection:
            raise ConnectionChangedError
        page = read_page(conn, outbox_id=outbox_id, position=before, size=size)
    except Exception:
        way.is_over = True
        raise
    way.is_over = page.is_last
    way.at = before.exhausted() if page.is_last else before.at(page.rows[-1][0])
    return page, before, way.at


class FetchAhead:
    """The next pages of one pipeline."""

    def __init__(
        self,
        *,
        reader: Worker,
        outbox_id: int,
        batch_size: int,
        sink: PageSink,
        open_window: OpenWindow | None = None,
    ) -> None:
        """Begin with nothing remembered; ``start`` says where to fetch.

        ``open_window``: a window counts only when it was told that it does; None: at once.
        """
        self._reader = reader
        self._outbox_id = outbox_id
        self._batch_size = batch_size
        self._sink = sink
        self._open_window = open_window
        self._position: Position | None = None
        self._way: _Way | None = None
        self._looking: object = None  # the look for a window that is under way
        self._until: str | None = None  # where this shard stops
        self.seen: str | None = None
        """The snapshot of the last look, which found nothing; None: look again in any case."""

    def start(self, position: Position, until: str | None = None) -> None:
        """Fetch from here; with ``until`` no further than what is visible in that snapshot."""
        self.forget()
        self._until = until
        self._go_on_at(position, None)

    def _go_on_at(self, position: Position, connection: int | None) -> None:
        self._position = position
        is_between = position.cur is None and not position.replaying
        self._way = None if is_between else _Way(position, connection)

    def forget(self) -> None:
        """Drop what is remembered; answers that are still under way will be dropped, too."""
        if self._way is not None:
            self._way.is_over = True
        self._position = self._way = self._looking = None
        self.seen = None

    def wants_window(self) -> WindowWanted | None:
        """What to ask for when the pipeline stands between two windows."""
        if self._position is None or self._way is not None or self._looking is not None or self.stands:
            return None
        return WindowWanted(outbox_id=self._outbox_id, prev=self._position.prev, until=self._until)

    @property
    def stands(self) -> bool:
        """Whether everything was fetched that may be fetched."""
        return self._until is not None and self._position == Position(prev=self._until)

    def asks_window(self, unit: Unit) -> Callable[[Future[WindowsOpened]], None]:
        """The question goes out; returns what takes the answer."""
        self._looking = look = object()
        return partial(self._on_windows, look, unit)

    def _on_windows(self, look: object, unit: Unit, done: Future[WindowsOpened]) -> None:
        if look is not self._looking or self._position is None:
            return
        self._looking = None
        try:
            opened = done.result()
        except (psycopg.Error, PollError) as error:
            self._sink.on_fetch_failed(error)
            return
        if opened.timeline is not None and not self._sink.on_window(opened):
            return
        first_id = opened.first_ids.get(unit)
        if first_id is None and self._until is not None and opened.timeline is not None:
            # Nothing is left before the place where all shards stop; that this one has come there is written down.
            before, self._position = self._position, Position(prev=self._until)
            self._sink.on_page(Page(rows=[], is_last=True), self._position, before)
            return
        if first_id is None:
            # An empty window is thrown away: prev in memory never runs ahead of the database's.
            self.seen = opened.snapshot
            return
        self.seen = None
        window = self._position.open(self._until or opened.snapshot, first_id, uuid4())
        if self._open_window is None:
            self._go_on_at(window, opened.connection)
        else:
            self._looking = look
            self._open_window(window, partial(self._on_open, look, window))

    def _on_open(self, look: object, window: Position) -> None:
        if look is self._looking:
            self._looking = None
            self._go_on_at(window, None)  # the database remembers it

    def fetch(self, room: int) -> None:
        """Ask for the next pages: as many as are wanted at once, and no more than there is room for."""
        way = self._way
        while way is not None and not way.is_over and way.asked < min(room, _PAGES_ASKED):
            way.asked += 1
            job = partial(
                _next_page, reader=self._reader, way=way, outbox_id=self._outbox_id, size=self._batch_size
            )
            self._reader.submit(job, partial(self._on_page, way))

    def _on_page(self, way: _Way, done: Future[tuple[Page, Position, Position] | None]) -> None:
        if way is not self._way:
            return
        way.asked -= 1
        try:
            answer = done.result()
        except (psycopg.Error, PollError) as error:
            self._sink.on_fetch_failed(error)
            return
        if answer is None:
            return  # asked for before the page before it turned out to be the last
        page, before, after = answer
        self._position = after
        if page.is_last:
            self._way = None
        self._sink.on_page(page, after, before)
