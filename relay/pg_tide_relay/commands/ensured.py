"""How ``pg-tide topics ensure`` and ``pg-tide schemas ensure`` tell what they found."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Protocol

import typer

from pg_tide_relay.commands.failure import ExitCode
from pg_tide_relay.commands.output import print_json, print_table
from pg_tide_relay.pipeline_faults import Fault

Pipeline = Annotated[
    str | None,
    typer.Argument(
        metavar="PIPELINE", show_default="all pipelines stored in the database", help="Name of a pipeline."
    ),
]


class Ensured(Protocol):
    """What was found, a data class with ``state`` for each thing that was looked for."""

    findings: list[Any]

    @property
    def faults(self) -> list[Fault]:
        """Why some pipelines could not be looked at."""


def tell(
    done: Ensured, *, noun: str, columns: Sequence[str], there: Collection[str], away: str, output: str
) -> None:
    """Print it; ends with exit code 78 for faults, 75 for the state ``away``, 1 for any that is not ``there``."""
    states = {finding.state for finding in done.findings}
    code = ExitCode.OK if states.issubset(there) else ExitCode.FAILURE
    if away in states:
        code = ExitCode.TEMPORARY
    if done.faults:
        code = ExitCode.CONFIGURATION
    found, faults = map(asdict, done.findings), map(asdict, done.faults)
    if output == "json":
        print_json({"complete": code == ExitCode.OK, noun: list(found), "faults": list(faults)})
    else:
        for fault in done.faults:
            hint = f" ({fault.hint})" if fault.hint else ""
            typer.echo(f"{fault.pipeline}: error: {fault.path}: {fault.message}{hint}")
        print_table(noun.capitalize(), columns, found)
    if code != ExitCode.OK:
        raise typer.Exit(code)
