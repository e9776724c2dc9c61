"""What the owner of a pipeline does beside its messages: redrives and replays, each through a delivery of its own."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pg_tide_relay.delivery_state import Log
from pg_tide_relay.lease import Lease
from pg_tide_relay.pipeline_parts import Drivers, PipelineSpec, Recipe
from pg_tide_relay.redrive import Redrive, RedriveOf
from pg_tide_relay.replay import Replay


class Work(Protocol):
    """One of them. For the pipeline's thread; nothing waits."""

    @property
    def outstanding(self) -> int:
        """Records handed over and not answered yet."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is on its way, and the database was told everything."""

    def step(self, now: float) -> None:
        """Do what can be done now."""

    def poll(self) -> None:
        """Serve reports, and no more."""

    def forget(self) -> None:
        """The cursor is not known to be ours: await what is on its way, remember nothing."""

    def abandon(self) -> None:
        """The lease is lost: hand over nothing more."""

    def leave(self) -> None:
        """Begin nothing more; await and write down what is on its way."""

    def close(self) -> None:
        """The pipeline has left."""


class Beside:
    """All of it at once."""

    def __init__(self, redrive: Redrive, replay: Replay) -> None:
        """Of one pipeline."""
        self.redrive = redrive
        self.replay = replay
        self._works: tuple[Work, ...] = (redrive, replay)

    @property
    def outstanding(self) -> int:
        """Records handed over and not answered yet."""
        return sum(work.outstanding for work in self._works)

    @property
    def is_done(self) -> bool:
        """Whether nothing is on its way, and the database was told everything."""
        return all(work.is_done for work in self._works)

    def step(self, now: float, *, is_ours: bool) -> None:
        """Do what can be done now; while the cursor is not ours, or not yet, only what was sent is awaited."""
        for work in self._works:
            if is_ours:
                work.step(now)
            else:
                work.poll()

    def forget(self) -> None:
        """The cursor is not known to be ours: await what is on its way, remember nothing."""
        for work in self._works:
            work.forget()

    def abandon(self) -> None:
        """The lease is lost: hand over nothing more."""
        for work in self._works:
            work.abandon()

    def leave(self) -> None:
        """Begin nothing more; await and write down what is on its way."""
        for work in self._works:
            work.leave()

    def close(self) -> None:
        """The pipeline has left."""
        for work in self._works:
            work.close()


def beside_of(
    spec: PipelineSpec,
    recipe: Recipe,
    drivers: Drivers,
    lease: Lease,
    *,
    on_free: Callable[[Sequence[bytes]], None],
    on_lost: Callable[[Exception], None],
    log: Log,
) -> Beside:
    """What stands beside a pipeline: ``on_free`` and ``on_lost`` as ``Redrive`` calls them."""
    of = RedriveOf(spec.pipeline_id, spec.version, recipe.batch_size, recipe.mine)
    redrive = Redrive(
        of=of,
        reader=drivers.reader,
        writer=drivers.writer,
        lease=lease,
        new_delivery=recipe.new_redrive,
        on_free=on_free,
        on_lost=on_lost,
        log=log,
    )
    replay = Replay(
        of=of,
        relay_id=drivers.relay_id,
        reader=drivers.reader,
        writer=drivers.writer,
        lease=lease,
        new_delivery=recipe.new_replay,
        on_lost=on_lost,
        log=log,
    )
    return Beside(redrive, replay)
