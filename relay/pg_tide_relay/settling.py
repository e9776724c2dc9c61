"""What may be settled of one cursor and what was: written down at most every 50 ms, dead letters with it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final, cast
from uuid import UUID

import psycopg

from pg_tide_relay import settle
from pg_tide_relay.cursor import Ownership, Position
from pg_tide_relay.delivery_state import Log
from pg_tide_relay.lease import Lease
from pg_tide_relay.postgres import Worker
from pg_tide_relay.settle import CursorLockedError, NotOwnerError
from pg_tide_relay.window import DeadLetter, Settled

_EVERY_S: Final = 0.05
"""At most this often: beside an old snapshot every settle leaves a row version behind."""


class Settling:
    """Owned by one pipeline; what it remembers dies with the ownership of the cursor."""

    def __init__(
        self,
        *,
        pipeline_id: int,
        version: int,
        writer: Worker,
        lease: Lease,
        on_settled: Callable[[], None],
        on_lost: Callable[[Exception], None],
        log: Log,
    ) -> None:
        """``on_settled`` is told of progress, ``on_lost`` that the cursor is not what this relay remembers."""
        self._pipeline_id = pipeline_id
        self._version = version
        self._writer = writer
        self._lease = lease
        self._on_progress = on_settled
        self._on_lost = on_lost
        self._log = log
        self._settled: Position | None = None  # what the database says
        self._wanted: Position | None = None  # what it may be told
        self._letters: list[DeadLetter] = []  # passed by the wanted position, not written
        self._under_way: Sequence[DeadLetter] = ()
        self._opening: tuple[Position, UUID | None, Callable[[], None]] | None = None  # to be opened durably
        self._busy = False
        self._at = 0.0

    def begin(self, position: Position) -> None:
        """The cursor was read."""
        self._settled = position

    def forget(self) -> None:
        """The cursor has to be read again."""
        self._settled = self._wanted = self._opening = None
        self._letters, self._under_way = [], ()

    def hurry(self) -> None:
        """Settle at once what there is."""
        self._at = 0.0

    def take(self, taken: Iterable[Settled]) -> None:
        """These messages have outcomes, and all before them."""
        for settled in taken:
            before, after = cast(tuple[Position, Position], settled.batch.position)
            self._wanted = after if settled.up_to_id is None else before.at(settled.up_to_id)
            self._letters += settled.letters

    def untold(self) -> Iterator[DeadLetter]:
        """Dead letters that the database may not have."""
        yield from self._letters
        yield from self._under_way

    @property
    def is_done(self) -> bool:
        """Whether the database was told everything."""
        return not self._busy and (self._lease.owned is None or self._wanted in (None, self._settled))

    def open(self, position: Position, sent: UUID | None, on_open: Callable[[], None]) -> None:
        """Write down where a window or a replay pass begins, durably, then say so; all before it is settled by that.

        ``sent``: the name that Kafka's newest position bears.
        """
        self._opening = position, sent, on_open
        self._at = 0.0

    def keep(self, letters: Sequence[DeadLetter], on_kept: Callable[[], None]) -> None:
        """Keep dead letters now, durably, then say so."""
        owned = self._lease.owned
        if owned is not None:
            self._writer.submit(
                partial(settle.keep, owned=owned, letters=self._letters_of(letters)),
                partial(self._on_kept, letters, owned, on_kept),
                connection=owned.connection,
            )

    def _on_kept(
        self, letters: Sequence[DeadLetter], owned: Ownership, on_kept: Callable[[], None], done: Future[None]
    ) -> None:
        if self._lease.owned is not owned:
            return
        try:
            done.result()
        except (psycopg.Error, NotOwnerError) as error:
            self._on_lost(error)
            return
        self._tell(letters)
        on_kept()

    def _letters_of(self, letters: Sequence[DeadLetter]) -> settle.Letters:
        return settle.Letters(self._pipeline_id, self._version, letters)

    def step(self, now: float) -> None:
        """Settle when it is due."""
        wanted, owned = self._wanted, self._lease.owned
        if self._opening is not None and owned is not None:
            self._open(now, *self._opening, owned)
            return
        if wanted is None or owned is None or self._settled is None or wanted == self._settled:
            return
        if self._busy or now < self._at:
            return
        self._busy = True
        self._at = now + _EVERY_S
        self._under_way, self._letters = self._letters, []
        changed = not wanted.same_window(self._settled) or (self._settled.replaying and not wanted.replaying)
        self._writer.submit(
            partial(
                settle.settle,
                owned=owned,
                position=wanted,
                window_changed=changed,
                letters=self._letters_of(self._under_way),
            ),
            partial(self._on_settled, wanted, owned),
            connection=owned.connection,
        )

    def _open(
        self, now: float, position: Position, sent: UUID | None, on_open: Callable[[], None], owned: Ownership
    ) -> None:
        if self._busy or now < self._at:
            return
        self._busy = True
        self._at = now + _EVERY_S
        self._under_way, self._letters = self._letters, []
        self._writer.submit(
            partial(
                settle.open_durably,
                owned=owned,
                position=position,
                sent=sent,
                letters=self._letters_of(self._under_way),
            ),
            partial(self._on_opened, position, owned, on_open),
            connection=owned.connection,
        )

    def _on_opened(
        self, position: Position, owned: Ownership, on_open: Callable[[], None], done: Future[None]
    ) -> None:
        self._on_settled(position, owned, done)
        if self._lease.owned is owned and done.exception() is None:
            self._opening = self._wanted = None
            self._at = 0.0
            on_open()

    def _on_settled(self, position: Position, owned: Ownership, done: Future[None]) -> None:
        self._busy = False
        is_current = self._lease.owned is owned
        under_way, self._under_way = self._under_way, ()
        try:
            done.result()
        except CursorLockedError:
            if is_current:  # tried again when it is due
                self._letters[:0] = under_way
            return
        except (psycopg.Error, NotOwnerError) as error:
            if is_current:
                self._on_lost(error)
            return
        self._tell(under_way)
        if is_current:
            self._settled = position
            self._on_progress()

    def _tell(self, letters: Sequence[DeadLetter]) -> None:
        """One line for all of a settle: a fault of many messages must not flood the log."""
        dead = [letter for letter in letters if letter.trouble is not None]
        if dead and (first := dead[0].trouble) is not None:
            self._log.warning(
                "dead_letters",
                count=len(dead),
                parked=len(letters) - len(dead),
                message_id=dead[0].message_id,
                error_code=first.code,
                cause=first.cause,
                topic=first.topic,
                cure="see tide.dead_letters; tide.dlq_redrive sends them again",
            )
