"""Sends a replay's messages in transactions: no copy twice, whatever dies between the commit and its settle.

The record in each transaction names the replay, by number and by the time at which it was asked for (after a restore a
number may be another's), and the last of its messages that is in committed transactions.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from pg_tide_relay.exactly_once import ExactlyOnceDelivery
from pg_tide_relay.replay_store import ReplayOrder
from pg_tide_relay.window import Batch, DeadLetter, Outcome


class ExactlyOnceReplay(ExactlyOnceDelivery):
    """Pages in id order, as ``Replay`` submits them."""

    def __init__(self, *arguments: Any, order: ReplayOrder, **more: Any) -> None:
        """As its base, for one replay."""
        super().__init__(*arguments, keep=_keep_nothing, **more)
        self._order = order

    def submit(self, batch: Batch) -> None:
        """Take a page; what is in committed transactions already is not handed over."""
        done_to = self._done_to()
        for place, row in enumerate(batch.rows):
            if row[0] <= done_to and batch.outcomes[place] == Outcome.UNSETTLED:
                batch.outcomes[place] = Outcome.DELIVERED_BEFORE
        super().submit(batch)

    def _done_to(self) -> int:
        """The last message that this relay or a predecessor has committed; 0: none of this replay."""
        if self._newest is None:
            return 0
        *whose, last_id = json.loads(self._newest)["replay"]
        return int(last_id) if whose == self._name else 0

    @property
    def _name(self) -> list[int]:
        return [self._order.replay_id, self._order.requested_us]

    def _new_mark(self) -> bytes:
        assert self._hand_over is not None
        if self._hand_over.alone is not None:
            batch, place = self._hand_over.alone
            last_id = batch.id_at(place)
        else:
            passed = self._window.newest_passed()
            assert passed is not None, "something was handed over"
            _, last_id = passed
        return json.dumps({"replay": [*self._name, last_id]}).encode()

    def _letters_to_keep(self) -> Sequence[DeadLetter]:
        return ()  # what fails is counted

    def _is_end(self) -> bool:
        return True


def _keep_nothing(letters: Sequence[DeadLetter], on_kept: Callable[[], None]) -> None:
    del letters
    on_kept()
