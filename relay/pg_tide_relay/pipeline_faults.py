"""Why something can't be told of a stored pipeline: for commands that look at all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pg_tide_relay.config.problems import ConfigError, Problem
from pg_tide_relay.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with the configuration of a pipeline."""

    pipeline: str
    path: str
    message: str
    hint: str | None


class PipelineFaults:
    """Those that were found so far."""

    def __init__(self) -> None:
        """None yet."""
        self.faults: list[Fault] = []

    @contextmanager
    def of(self, pipeline: str) -> Iterator[None]:
        """A configuration that can't be used ends what is done inside, and is a fault of this pipeline."""
        try:
            yield
        except ConfigError as error:
            self.add(pipeline, *error.problems)
        except ConfigurationError as error:
            self.add(pipeline, Problem(path=error.key, severity="error", message=error.cause))

    def add(self, pipeline: str, *problems: Problem) -> None:
        """Take problems of a pipeline."""
        self.faults += [
            Fault(pipeline=pipeline, path=problem.path, message=problem.message, hint=problem.hint)
            for problem in problems
        ]
