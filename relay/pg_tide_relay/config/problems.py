"""What is wrong with a configuration."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding about one place of a configuration."""

    path: str  # "topics.policy", "headers.x", "$" for the configuration itself
    severity: Severity
    message: str  # reads well after "path: "; never holds a resolved value
    hint: str | None = None  # how to cure it, where the message does not already say so

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class ConfigError(ValueError):
    """A configuration that can't be used; holds all its problems, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Errors first, then by path and message in code point order (``collate "C"`` in SQL)."""
    return sorted(problems, key=lambda problem: (problem.severity, problem.path, problem.message))
