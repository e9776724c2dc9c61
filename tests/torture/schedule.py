"""Which faults a slice injects, and when: all of it follows from the seed."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TOGETHER = 0.5  # part of the steps in which a second fault begins before the first has ended
ALONE = (
    "clock"  # the place whose faults overlap with no other: see "What is not promised" in docs/reliability.md
)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A part of a run: `number` of `of`."""

    seed: int
    number: int = 1
    of: int = 1
    delivery: str = "at_least_once"

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"slice {self.number}/{self.of}: there is no such part")

    @classmethod
    def parse(cls, seed: str, part: str, delivery: str = "at_least_once") -> "Slice":
        """From words such as `7` and `2/5`."""
        number, _, of = part.partition("/")
        return cls(seed=int(seed), number=int(number), of=int(of or 1), delivery=delivery)

    def __str__(self) -> str:
        return f"seed {self.seed}, slice {self.number}/{self.of}, {self.delivery}"

    @property
    def chance(self) -> random.Random:
        """Where all that is random in the slice comes from."""
        return random.Random(f"torture {self.seed} {self.number}/{self.of}")

    def share(self, faults: int) -> int:
        """How many of a run's faults are this slice's."""
        return faults // self.of + (self.number <= faults % self.of)


@dataclass(frozen=True, kw_only=True)
class Injection:
    """One fault that is to be injected."""

    kind: str
    seed: int  # of what is random in the fault itself
    after_s: float  # pause before it begins
    hold: float  # 0 to 1: how long of what the kind permits


Step = tuple[Injection, ...]
"""Faults that overlap; behind them everything has to recover."""


def schedule(part: Slice, faults: int, kinds: Mapping[str, str]) -> list[Step]:
    """The steps of a slice with this many faults, of kinds that are given with the place that they hit.

    The kinds come in rounds, each kind once a round, so that every kind has its turn; the faults of one step hit
    different places.
    """
    chance = part.chance
    pending: list[str] = []
    steps: list[Step] = []
    left = faults
    while left > 0:
        chosen = [_next(pending, kinds, chance, ())]
        if left > 1 and chance.random() < TOGETHER and kinds[chosen[0]] != ALONE:
            chosen.append(_next(pending, kinds, chance, (kinds[chosen[0]], ALONE)))
        steps.append(
            tuple(
                Injection(
                    kind=kind,
                    seed=chance.randrange(10**9),
                    after_s=round(chance.uniform(0.0, 0.4), 3),
                    hold=round(chance.random(), 3),
                )
                for kind in chosen
            )
        )
        left -= len(chosen)
    return steps


def _next(pending: list[str], kinds: Mapping[str, str], chance: random.Random, places: Iterable[str]) -> str:
    """Take the next kind that hits none of these places; a new round begins when none is left."""
    fitting = [kind for kind in pending if kinds[kind] not in places]
    if not fitting:
        fresh = sorted(kinds)
        chance.shuffle(fresh)
        pending += fresh
        fitting = [kind for kind in pending if kinds[kind] not in places]
    pending.remove(fitting[0])
    return fitting[0]
