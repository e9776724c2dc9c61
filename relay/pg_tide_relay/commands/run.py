"""``pg-tide run``: the relay."""

import os
import socket
from dataclasses import dataclass
from typing import Annotated

import typer

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import ALLOW_ENV_HELP, DatabaseFlags, LogFlags
from pg_tide_relay.connect import check_connection_string
from pg_tide_relay.settings import RelaySettings

_PANEL = "Running the relay"


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """How this relay process works."""

    relay_id: Annotated[
        str,
        typer.Option(
            "--relay-id",
            envvar="PG_TIDE_RELAY_ID",
            metavar="NAME",
            show_default="host name and process id",
            help="Names this process in logs and in tide.relays. Two processes must not share a name.",
            rich_help_panel=_PANEL,
        ),
    ] = ""
    installation: Annotated[
        str,
        typer.Option(
            "--installation",
            envvar="PG_TIDE_INSTALLATION",
            metavar="NAME",
            show_default="none",
            help="The name that tide.installation_set gave to the database; a relay with another one, or with none, "
            "refuses to work on it. It tells a clone from the original.",
            rich_help_panel=_PANEL,
        ),
    ] = ""
    pipeline: Annotated[
        list[str] | None,
        typer.Option(
            "--pipeline",
            envvar="PG_TIDE_PIPELINE",
            metavar="NAME",
            show_default="every enabled one",
            help="Run only this pipeline; may be given several times (environment: separated by spaces).",
            rich_help_panel=_PANEL,
        ),
    ] = None
    lease_ms: Annotated[
        int,
        typer.Option(
            "--lease-ms",
            envvar="PG_TIDE_LEASE_MS",
            min=1_000,
            max=600_000,
            help="How long a pipeline stays with this relay after its last sign of life; after that, and the "
            "pipeline's request timeout, a relay that stands by takes over.",
            rich_help_panel=_PANEL,
        ),
    ] = 10_000
    processes: Annotated[
        int,
        typer.Option(
            "--processes",
            envvar="PG_TIDE_PROCESSES",
            metavar="N",
            min=1,
            max=64,
            help="Run so many relays, each a process of its own: they share the pipelines evenly. One that dies is "
            "started again.",
            rich_help_panel=_PANEL,
        ),
    ] = 1
    drain_timeout: Annotated[
        float,
        typer.Option(
            "--drain-timeout",
            envvar="PG_TIDE_DRAIN_TIMEOUT",
            metavar="SECONDS",
            min=0,
            max=3_600,
            help="How long to wait, after SIGTERM or SIGINT, until all that was sent is settled.",
            rich_help_panel=_PANEL,
        ),
    ] = 30.0
    allow_env: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-env",
            envvar="PG_TIDE_ALLOW_ENV",
            metavar="PATTERN",
            show_default="KAFKA_*, CONFLUENT_*, SCHEMA_REGISTRY_*, TIDE_*",
            help=ALLOW_ENV_HELP,
            rich_help_panel=_PANEL,
        ),
    ] = None
    poll_interval_ms: Annotated[
        float,
        typer.Option(
            "--poll-interval-ms",
            envvar="PG_TIDE_POLL_INTERVAL_MS",
            min=1,
            max=60_000,
            help="Pause between two looks at a database that had nothing to send.",
            rich_help_panel=_PANEL,
        ),
    ] = 5.0


def run(database: DatabaseFlags, flags: RunFlags, log: LogFlags) -> None:
    """Run the relay: deliver the messages of every enabled pipeline to Kafka, until it is stopped.

    Everything about pipelines is configured in SQL (tide.relay_set_outbox), and changes are picked up while
    running. Several relays may run on one database: they share its pipelines evenly.

    SIGTERM or SIGINT: stop fetching, wait for what was sent (--drain-timeout), settle it, exit 0; a second
    signal ends at once. A database or a Kafka cluster that is away is waited for.
    """
    raise typer.Exit(run_relays(database, flags, log))


def relay_settings(database: DatabaseFlags, flags: RunFlags) -> RelaySettings:
    """The settings that the flags ask for; raises ConnectionStringError and CommandError."""
    check_connection_string(database.postgres_url)
    try:
        return RelaySettings(
            dsn=database.postgres_url,
            relay_id=flags.relay_id or f"{socket.gethostname()}-{os.getpid()}",
            lease_ms=flags.lease_ms,
            drain_timeout_s=flags.drain_timeout,
            allow_env=tuple(flags.allow_env or ()),
            poll_interval_ms=flags.poll_interval_ms,
            pipelines=tuple(flags.pipeline or ()),
            installation=flags.installation,
        )
    except ValueError as error:
        raise CommandError(str(error), cure="see: pg-tide run --help", code=ExitCode.USAGE) from None


def run_relays(database: DatabaseFlags, flags: RunFlags, log: LogFlags) -> int:
    """Run one relay, or a parent of several, until stopped; the exit code."""
    settings = relay_settings(database, flags)
    if flags.processes == 1:
        return run_relay(settings)
    from pg_tide_relay.processes import Processes  # noqa: PLC0415

    try:
        parent = Processes(settings, flags.processes, log_format=log.log_format, log_level=log.level)
    except ValueError as error:
        raise CommandError(str(error), cure="give a shorter --relay-id", code=ExitCode.USAGE) from None
    return parent.run()


def run_relay(settings: RelaySettings) -> int:
    """Run until stopped; the exit code."""
    # Loads librdkafka, which no other command needs.
    from pg_tide_relay import supervisor  # noqa: PLC0415

    return supervisor.run(settings)
