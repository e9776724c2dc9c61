"""Exit codes, and how errors become a sentence for the operator: what happened, to what, and what to do."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

import psycopg
import typer
from psycopg import errors

from pg_tide_relay.connect import ConnectionStringError, describe
from pg_tide_relay.install import NotInstalledError, StandbyError


class ExitCode(IntEnum):
    """What the shell, or the supervisor of the service, is told."""

    OK = 0
    """Also after a drained SIGTERM."""
    FAILURE = 1
    USAGE = 2
    TEMPORARY = 75
    """A command found the database or Kafka away, or somebody held a lock: try again."""
    CONFIGURATION = 78
    """A configuration was found invalid."""
    INTERRUPTED = 130
    """A question was left with Ctrl-C."""


class CommandError(Exception):
    """A command can't do what it was asked for."""

    def __init__(self, what: str, *, cure: str, code: ExitCode = ExitCode.FAILURE) -> None:
        """What happened and to which object, what to do about it, and what the shell is told."""
        super().__init__(what)
        self.cure = cure
        self.code = code


_LOCK_ERRORS: Final = (errors.LockNotAvailable, errors.DeadlockDetected)
_AWAY_ERRORS: Final = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.TooManyConnections,
)


@contextmanager
def reported(dsn: str = "") -> Iterator[None]:
    """Errors that an operator can cure become two lines on stderr and an exit code; others pass."""
    try:
        yield
    except CommandError as error:
        raise _ended(error) from None
    except ConnectionStringError as error:
        raise _ended(
            CommandError(
                str(error),
                cure="write postgresql://user:password@host:port/database, or host=... dbname=... user=...",
                code=ExitCode.USAGE,
            )
        ) from None
    except NotInstalledError:
        raise _ended(_not_installed(dsn)) from None
    except StandbyError as error:
        raise _ended(
            CommandError(
                f"{describe(dsn)}: {error}",
                cure="connect to the primary; a connection string with several hosts and "
                "target_session_attrs=read-write finds it",
            )
        ) from None
    except psycopg.Error as error:
        raise _ended(_of_database(error, dsn)) from None


def _not_installed(dsn: str) -> CommandError:
    return CommandError(f"{describe(dsn)}: pg-tide is not installed there", cure="run: pg-tide install")


def _of_database(error: psycopg.Error, dsn: str) -> CommandError:
    place = describe(dsn)
    text = " ".join((error.diag.message_primary or str(error)).split())
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    if (
        isinstance(error, errors.InvalidSchemaName | errors.UndefinedTable | errors.UndefinedFunction)
        and not notes
    ):
        return _not_installed(dsn)
    if isinstance(error, _LOCK_ERRORS):
        return CommandError(
            f"{place}: another session is in the way: {text}{notes}",
            cure="try again when it is done; pg_stat_activity and tide.holders() show who it is",
            code=ExitCode.TEMPORARY,
        )
    if error.sqlstate is None or isinstance(error, _AWAY_ERRORS):
        return CommandError(
            f"{place}: {text}",
            cure="check that the server runs and accepts this user, then try again",
            code=ExitCode.TEMPORARY,
        )
    hint = error.diag.message_hint or _cure(error)
    return CommandError(f"{place}: {text}{notes} (SQLSTATE {error.sqlstate})", cure=hint)


def _cure(error: psycopg.Error) -> str:
    if isinstance(error, errors.InsufficientPrivilege):
        return "use a role that may, or give this one rights: select tide.role_grant('monitor', '<role>');"
    if isinstance(error, errors.OutOfMemory):
        return "drop outboxes one by one first: select tide.outbox_drop('<outbox>', force => true);"
    return "see the server's log for more"


def _ended(error: CommandError) -> typer.Exit:
    typer.echo(f"Error: {error}", err=True)
    typer.echo(f"What to do: {error.cure}", err=True)
    sys.stdout.flush()
    return typer.Exit(error.code)
