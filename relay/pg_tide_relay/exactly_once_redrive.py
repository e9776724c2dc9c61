"""Sends dead letters again in transactions: none twice, whatever dies between the commit and its record in PostgreSQL.

The record in each transaction names the letters that were sent and whose outcome PostgreSQL may not have: by number and
by the time at which somebody asked for it, because a letter may die again and be asked for again.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from pg_tide_relay.exactly_once import ExactlyOnceDelivery
from pg_tide_relay.poll import RedrivePage
from pg_tide_relay.window import Batch, DeadLetter, Outcome


class Asked(NamedTuple):
    """A dead letter that was to be sent."""

    number: int
    asked_us: int  # microseconds since PostgreSQL's epoch


class ExactlyOnceRedrive(ExactlyOnceDelivery):
    """One page at a time, as ``Redrive`` submits them."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """As its base."""
        super().__init__(*arguments, keep=_keep_nothing, **more)
        self._sent_before: set[Asked] | None = (
            None  # by predecessors, not known to be recorded; None: not asked yet
        )
        self._page: Batch | None = None

    def submit(self, batch: Batch) -> None:
        """Take a page, the one before being recorded; what a predecessor has sent of it counts as done."""
        if self._sent_before is None:
            self._sent_before = _asked_in(self._newest)
        if self._page is not None:
            self._sent_before.difference_update(_asked(self._page))
        self._page = batch
        for place, asked in enumerate(_asked(batch)):
            if asked in self._sent_before:
                batch.outcomes[place] = Outcome.FILTERED
        super().submit(batch)

    def forget(self) -> None:
        """As its base; whether the page was recorded is not known: what Kafka says counts."""
        super().forget()
        self._page = self._sent_before = None

    def _new_mark(self) -> bytes:
        assert self._page is not None
        assert self._hand_over is not None
        end = self._page.next + (self._hand_over.alone is not None)
        done = (Outcome.DELIVERED, Outcome.FILTERED, Outcome.UNSETTLED)
        sent = [
            asked
            for place, (asked, outcome) in enumerate(
                zip(_asked(self._page), self._page.outcomes, strict=True)
            )
            if place < end and outcome in done
        ]
        return json.dumps({"letters": sorted({*sent, *(self._sent_before or ())})}).encode()

    def _letters_to_keep(self) -> Sequence[DeadLetter]:
        return ()  # they are dead letters already

    def _is_end(self) -> bool:
        return True


def _asked(batch: Batch) -> Iterator[Asked]:
    page = cast(RedrivePage, batch.position)
    return map(Asked, page.numbers, page.asked)


def _asked_in(value: bytes | None) -> set[Asked]:
    return set() if value is None else {Asked(*each) for each in json.loads(value)["letters"]}


def _keep_nothing(*_: object) -> None:
    """No letter of a redrive is kept: each is one already."""
