"""The command line: ``pg-tide``. Put together here; each command has a module of its own in ``commands``."""

import os
from typing import Annotated

import typer

from pg_tide_relay.commands.dev import dev
from pg_tide_relay.commands.dlq import discard, list_letters, redrive, show_letter
from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.commands.flags import DatabaseFlags, LogFlags, with_flags
from pg_tide_relay.commands.install import install
from pg_tide_relay.commands.preview import preview
from pg_tide_relay.commands.replay import ReplayGroup, cancel, list_replays, send
from pg_tide_relay.commands.row_schema import infer, show
from pg_tide_relay.commands.run import RunFlags, run, run_relays
from pg_tide_relay.commands.schemas import ensure_schemas
from pg_tide_relay.commands.status import status
from pg_tide_relay.commands.topics import ensure
from pg_tide_relay.commands.uninstall import uninstall
from pg_tide_relay.commands.upgrade import upgrade
from pg_tide_relay.commands.validate import validate
from pg_tide_relay.commands.verify import verify
from pg_tide_sql.versions import RELEASE, SCHEMA_VERSION

_EPILOG = (
    "Exit codes: 0 done, also after a drained SIGTERM · 1 failed · 2 wrong usage · 75 database, Kafka or "
    "schema registry away, try again · 78 invalid configuration · 130 interrupted."
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pg-tide {RELEASE} (schema version {SCHEMA_VERSION})")
        raise typer.Exit


_Version = Annotated[
    bool,
    typer.Option(
        "--version", "-V", callback=_print_version, is_eager=True, help="Show the release and exit."
    ),
]


def _start(
    ctx: typer.Context, database: DatabaseFlags, flags: RunFlags, log: LogFlags, version: _Version = False
) -> None:
    """A transactional outbox for PostgreSQL and its relay to Kafka: nothing lost, in order per key.

    pg-tide --postgres-url URL starts the relay, as pg-tide run does.

    First steps: pg-tide install --postgres-url URL, then in SQL: tide.outbox_create, tide.relay_set_outbox
    and, in the transactions of your application, tide.outbox_publish. pg-tide status shows what arrives.

    Every flag can be given in the environment, under the name shown with it; what is typed wins.
    """
    del version
    if ctx.invoked_subcommand is not None:
        return
    if not database.postgres_url and not _libpq_knows_a_database():
        raise CommandError(
            "no database is named",
            cure="give --postgres-url URL or set PG_TIDE_POSTGRES_URL; pg-tide --help shows all commands, "
            "pg-tide run starts with libpq's own defaults",
            code=ExitCode.USAGE,
        )
    raise typer.Exit(run_relays(database, flags, log))


def _libpq_knows_a_database() -> bool:
    return any(os.environ.get(name) for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"))


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="pg-tide",
        epilog=_EPILOG,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(invoke_without_command=True)(with_flags(_start))
    for command in (run, install, upgrade, uninstall, status, validate, preview, verify, dev):
        app.command(epilog=_EPILOG)(with_flags(command))
    topics = typer.Typer(help="The topics of pipelines on their clusters.", no_args_is_help=True)
    topics.command(epilog=_EPILOG)(with_flags(ensure))
    app.add_typer(topics, name="topics")
    row_schema = typer.Typer(help="Row schemas of outboxes: columns and types.", no_args_is_help=True)
    row_schema.command(epilog=_EPILOG)(with_flags(infer))
    row_schema.command(epilog=_EPILOG)(with_flags(show))
    app.add_typer(row_schema, name="row-schema")
    schemas = typer.Typer(help="The schemas of pipelines in their registries.", no_args_is_help=True)
    schemas.command("ensure", epilog=_EPILOG)(with_flags(ensure_schemas))
    app.add_typer(schemas, name="schemas")
    dlq = typer.Typer(help="Dead letters: messages that could not be delivered.", no_args_is_help=True)
    dlq.command("list", epilog=_EPILOG)(with_flags(list_letters))
    dlq.command("show", epilog=_EPILOG)(with_flags(show_letter))
    dlq.command(epilog=_EPILOG)(with_flags(redrive))
    dlq.command(epilog=_EPILOG)(with_flags(discard))
    app.add_typer(dlq, name="dlq")
    replay = typer.Typer(
        cls=ReplayGroup,
        help="Replays: messages sent again beside the cursor, which stays where it is.\n\n"
        "pg-tide replay PIPELINE ... is short for pg-tide replay send PIPELINE ...",
        no_args_is_help=True,
    )
    replay.command(epilog=_EPILOG)(with_flags(send))
    replay.command("list", epilog=_EPILOG)(with_flags(list_replays))
    replay.command(epilog=_EPILOG)(with_flags(cancel))
    app.add_typer(replay, name="replay")
    return app


def main() -> None:
    """Entry point of the program ``pg-tide``."""
    build()(prog_name="pg-tide")
