"""Random faults by a seed: nothing is lost, nothing is reordered per key, no byte is wrong."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fix_relay import StartRelay
from fix_run import Progress, or_skip
from pg_tide_dev.processes import Run
from torture.run import Result, run_slice
from torture.scene import Scene
from torture.schedule import Slice
from torture.servers import Servers, servers

SEED = os.environ.get("PG_TIDE_TORTURE_SEED", "1")
PART = os.environ.get("PG_TIDE_TORTURE_SLICE", "1/1")
DELIVERY = os.environ.get("PG_TIDE_TORTURE_DELIVERY", "at_least_once")
FAULTS = int(os.environ.get("PG_TIDE_TORTURE_FAULTS", "200"))
MINUTES = float(os.environ.get("PG_TIDE_TORTURE_MINUTES", "40"))
SHORT, SHORT_FAULTS, SHORT_MINUTES = Slice(seed=77), 34, 3.0


@pytest.fixture
def on_stage(dev_run: Run, progress: Progress) -> Iterator[Servers]:
    """The servers of a slice, all its own."""
    with ExitStack() as stack:
        yield or_skip(lambda: stack.enter_context(servers(dev_run, progress)))


def torture(
    on_stage: Servers, start_relay: StartRelay, progress: Progress, part: Slice, faults: int, minutes: float
) -> Result:
    """Run a slice and tell of it; fails when a promise was broken."""
    again = f"make torture SEED={part.seed} SLICE={part.number}/{part.of} FAULTS={FAULTS} DELIVERY={part.delivery}"
    progress(f"{part}: {faults} faults. The same again: {again}")
    scene = Scene(on_stage, start_relay, part)
    result = run_slice(scene, part, faults, minutes, progress)
    progress(
        f"{part}: {len(result.faults)} faults, {result.messages} messages, {result.records} records,"
        f" {result.seconds} s, sent again because of {result.sent_again}"
    )
    if part != SHORT:
        progress(str(result.write()))
    assert result.is_clean, f"{result.verdicts}\n" + "\n".join(result.examples) + f"\n{again}"
    return result


@pytest.mark.timeout(600)
def test_a_short_slice_loses_and_reorders_nothing(
    on_stage: Servers, start_relay: StartRelay, progress: Progress
) -> None:
    """Every kind of fault about once."""
    result = torture(on_stage, start_relay, progress, SHORT, SHORT_FAULTS, SHORT_MINUTES)
    assert result.messages > 500


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_slice_loses_and_reorders_nothing(
    on_stage: Servers, start_relay: StartRelay, progress: Progress
) -> None:
    """What `make torture` runs; its result is written for `make torture-report`."""
    part = Slice.parse(SEED, PART, DELIVERY)
    torture(on_stage, start_relay, progress, part, part.share(FAULTS), MINUTES)
