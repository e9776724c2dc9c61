"""The kinds of faults, and what a fault is: something begins, and later it ends."""

import random
from abc import ABC, abstractmethod
from typing import ClassVar

from torture.scene import Scene


class Fault(ABC):
    """One fault. Subclasses with a kind are the kinds."""

    kind: ClassVar[str]  # what the table calls it
    place: ClassVar[str]  # what it hits; the faults of one step hit different places
    holds_s: ClassVar[tuple[float, float]] = (0.0, 0.0)  # how long it lasts
    steps: ClassVar[int] = 0  # most further steps that it outlasts
    needs_clock: ClassVar[bool] = False
    repeats: ClassVar[bool] = False  # whether it makes records come twice, whatever the delivery

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self.scene = scene
        self.chance = chance

    @abstractmethod
    def begin(self) -> None:
        """Inject it."""

    def end(self) -> None:  # noqa: B027 - many faults end by themselves
        """Make an end of it, as an operator or the world would."""

    def hold(self, part: float) -> float:
        """How many seconds it lasts."""
        shortest, longest = self.holds_s
        return shortest + (longest - shortest) * part


def all_kinds() -> dict[str, type[Fault]]:
    """Every kind by its name."""
    from torture import kinds_kafka, kinds_network, kinds_postgres, kinds_relay

    modules = (kinds_relay, kinds_postgres, kinds_kafka, kinds_network)
    found = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    return {kind.kind: kind for kind in found if issubclass(kind, Fault) and "kind" in vars(kind)}
