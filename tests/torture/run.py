"""One slice: inject its faults one step after the other, let everything recover after each, then judge."""

import json
import os
import random
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from confluent_kafka import Message

from faults.campaign import Campaign
from faults.ledger import Ledger, Verdict, arrived_on, committed_in
from fix_kafka import stream_records
from fix_run import Progress
from torture.kinds import Fault, all_kinds
from torture.scene import Scene
from torture.schedule import Injection, Slice, Step, schedule

RESULTS = Path(__file__).parents[2] / "build" / "torture"
READ_S = 600.0
TELL_EVERY_S = 20.0
# Faults end in this order, so that what an end needs is there again; they begin in the opposite one.
PLACES = (
    "postgres", "kafka", "network to postgres", "network to kafka", "configuration", "clock", "relay",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Injected:
    """A fault that was injected."""

    kind: str
    step: int
    begun_ms: int  # wall clock, as the brokers'
    recovered_s: float = 0.0  # from the end of the step's faults until both pipelines moved
    duplicates: int = 0  # written before the next fault began


@dataclass(kw_only=True)
class Result:
    """What a slice has found; written as JSON."""

    seed: int
    number: int
    of: int
    delivery: str = "at_least_once"
    faults: list[Injected] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # kinds that this machine can't inject
    seconds: float = 0.0
    messages: int = 0
    records: int = 0
    early_duplicates: int = 0  # before the first fault
    resumes: dict[str, int] = field(
        default_factory=dict
    )  # why relays began to send again, by the code of the error
    verdicts: dict[str, dict[str, int]] = field(default_factory=dict)  # of each pipeline
    examples: list[str] = field(default_factory=list)  # of what is wrong

    @property
    def is_clean(self) -> bool:
        """Whether no promise was broken."""
        return not any(count for counts in self.verdicts.values() for count in counts.values())

    def write(self, folder: Path = RESULTS) -> Path:
        """As JSON; the file's name has the seed and the slice."""
        folder.mkdir(parents=True, exist_ok=True)
        kind = "" if self.delivery == "at_least_once" else f"-{self.delivery}"
        path = folder / f"seed-{self.seed}-slice-{self.number}-of-{self.of}{kind}.json"
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        return path


def kinds_here(scene: Scene) -> tuple[dict[str, type[Fault]], list[str]]:
    """The kinds that can be injected on this machine, and the names of those that can't."""
    kinds = all_kinds()
    unwanted = os.environ.get("PG_TIDE_TORTURE_WITHOUT", "").split(";")
    left_out = sorted(
        name
        for name, kind in kinds.items()
        if name in unwanted or (kind.needs_clock and scene.clock is None) or (kind.repeats and scene.is_exact)
    )
    return {name: kind for name, kind in kinds.items() if name not in left_out}, left_out


def run_slice(scene: Scene, part: Slice, faults: int, minutes: float, progress: Progress) -> Result:
    """Inject the faults of a slice, as many as there is time for; the judgement is in the result."""
    result = Result(seed=part.seed, number=part.number, of=part.of, delivery=part.delivery)
    kinds, result.left_out = kinds_here(scene)
    steps = schedule(part, faults, {name: kind.place for name, kind in kinds.items()})
    begun = time.monotonic()
    stage = _Stage(scene, kinds, result)
    scene.wait_until_it_delivers()
    told = begun
    for number, step in enumerate(steps):
        if time.monotonic() - begun > minutes * 60:
            progress(f"{part}: out of time after {len(result.faults)} of {faults} faults")
            break
        stage.play(number, step)
        if time.monotonic() - told > TELL_EVERY_S:
            told = time.monotonic()
            progress(f"{part}: {len(result.faults)}/{faults} faults in {told - begun:.0f} s, {step[-1].kind}")
    stage.end_all()
    scene.wait_until_it_delivers()
    scene.load.stop()
    scene.wait_until_all_is_delivered()
    for relay in scene.relays.values():
        relay.terminate()
    result.seconds = round(time.monotonic() - begun, 1)
    _judge(scene, result)
    return result


class _Stage:
    """Plays steps, and ends faults that outlast them."""

    def __init__(self, scene: Scene, kinds: dict[str, type[Fault]], result: Result) -> None:
        self._scene = scene
        self._kinds = kinds
        self._result = result
        self._lasting: list[tuple[int, Fault]] = []

    def play(self, number: int, step: Step) -> None:
        """Begin the faults of a step, end them, and wait until everything works again."""
        begun = [
            self._begin(number, one)
            for one in sorted(step, key=lambda one: -self._rank(self._kinds[one.kind]))
        ]
        for fault in sorted(begun, key=self._rank):
            lasts = fault.chance.randint(0, fault.steps)
            self._lasting.append((number + lasts, fault))
        self._end([fault for until, fault in self._lasting if until <= number])
        self._lasting = [(until, fault) for until, fault in self._lasting if until > number]
        since = time.monotonic()
        self._scene.wait_until_it_delivers()
        recovered_s = round(time.monotonic() - since, 2)
        faults = self._result.faults
        for place, one in enumerate(faults):
            if one.step == number:
                faults[place] = replace(one, recovered_s=recovered_s)

    def end_all(self) -> None:
        """Nothing lasts beyond the slice."""
        self._end([fault for _, fault in self._lasting])
        self._lasting = []

    def _begin(self, number: int, one: Injection) -> Fault:
        time.sleep(one.after_s)  # chance, not synchronisation
        fault = self._kinds[one.kind](self._scene, random.Random(one.seed))
        self._result.faults.append(Injected(kind=one.kind, step=number, begun_ms=int(time.time() * 1000)))
        self._scene.story.append(f"step {number}: {one.kind}, for {fault.hold(one.hold):.1f} s")
        fault.begin()
        time.sleep(fault.hold(one.hold))
        return fault

    def _end(self, faults: Iterable[Fault]) -> None:
        for fault in sorted(faults, key=self._rank):
            fault.end()

    @staticmethod
    def _rank(fault: Fault | type[Fault]) -> int:
        return PLACES.index(fault.place)


def _judge(scene: Scene, result: Result) -> None:
    steady, versions = _ledger(scene, scene.steady)
    doomed, _ = _ledger(scene, scene.doomed, gone_before_us=scene.doomed_since_us)
    result.messages, result.records = len(steady.committed), steady.records
    for name, ledger in (("steady", steady), ("doomed", doomed)):
        _note(result, name, ledger.verdict)
        if scene.is_exact:
            result.verdicts[name]["repeated"] = ledger.duplicates
    unknown = [one for one in scene.load.acknowledged() if steady.committed.find(one) is None]
    wrong = versions.wrong(scene.steady.versions())
    result.verdicts["publishers"] = {
        "acknowledged but not stored": len(unknown),
        "wrong versions": len(wrong),
    }
    result.examples += [str(found[:5]) for found in (unknown, wrong) if found]
    result.early_duplicates, result.faults = attributed(steady.duplicate_times, result.faults)
    result.sent_again = dict(_reasons(scene))


def _reasons(scene: Scene) -> Counter[str]:
    """What relays have said: errors by their code, leases that ran out, cursors that others moved."""
    found: Counter[str] = Counter()
    for relay in scene.all_relays:
        found.update(str(line.get("error_code")) for line in relay.lines("delivery_resumes"))
        found["lease ran out"] += len(relay.lines("lease_ran_out"))
        found["cursor changed"] += len(relay.lines("cursor_changed"))
    return +found


def _note(result: Result, name: str, verdict: Verdict) -> None:
    result.verdicts[name] = verdict.counts
    if not verdict.is_clean:
        result.examples.append(f"{name}: {verdict}")


def _ledger(scene: Scene, campaign: Campaign, *, gone_before_us: int = 0) -> tuple[Ledger, "Versions"]:
    records = stream_records(scene.servers.kafka.bootstrap, campaign.topic, timeout_seconds=READ_S)
    versions = Versions()
    committed = committed_in(scene.servers.database.dsn, campaign.outbox)
    ledger = Ledger(committed, arrived_on(versions.passing(records)), gone_before_us=gone_before_us)
    return ledger, versions


class Versions:
    """What consumers learn of the entities, judged by the business table alone, without asking the outbox."""

    def __init__(self) -> None:
        self.seen: Counter[int] = Counter()
        self.skipped: list[str] = []

    def passing(self, records: Iterable[Message]) -> Iterator[Message]:
        """The same records, looked at on their way."""
        for record in records:
            if (record.key() or b"").startswith(b"entity "):
                payload = json.loads(record.value() or b"")
                self.take(payload["entity"], payload["version"])
            yield record

    def take(self, entity: int, version: int) -> None:
        """A record of an entity: its next version, or one that was seen."""
        if version > self.seen[entity] + 1:
            self.skipped.append(f"entity {entity}: {version} behind {self.seen[entity]}")
        self.seen[entity] = max(self.seen[entity], version)

    def wrong(self, expected: dict[int, int]) -> list[str]:
        """Versions that were skipped, and entities whose newest version is not the table's."""
        last = [
            f"entity {entity}: {self.seen[entity]} instead of {version}"
            for entity, version in expected.items()
            if self.seen[entity] != version
        ]
        return self.skipped + last


def attributed(times_ms: Iterable[int], faults: Sequence[Injected]) -> tuple[int, list[Injected]]:
    """The duplicates before the first fault; and the faults, each with those written before the next one began."""
    ordered = sorted(faults, key=lambda one: one.begun_ms)
    begins = [one.begun_ms for one in ordered]
    found = Counter(bisect_right(begins, at) - 1 for at in times_ms)
    return found[-1], [replace(one, duplicates=found[place]) for place, one in enumerate(ordered)]
