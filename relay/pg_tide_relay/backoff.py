"""Growing pauses between attempts that go on for ever."""

FIRST_S = 0.5
LONGEST_S = 30.0


class Backoff:
    """0.5, 1, 2, ... 30 seconds; from the beginning after ``reset``."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def next_s(self) -> float:
        """The pause before the next attempt."""
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, LONGEST_S)
        return pause_s

    def reset(self) -> None:
        """An attempt succeeded."""
        self._next_s = FIRST_S
