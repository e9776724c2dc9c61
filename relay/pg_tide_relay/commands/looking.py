"""What keeps a command from looking into a pipeline's messages, told in words: for preview and verify."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from pg_tide_relay.commands.failure import CommandError, ExitCode
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.config.problems import ConfigError
from pg_tide_relay.connect import describe
from pg_tide_relay.errors import ErrorClass, RegistryError
from pg_tide_relay.peek import UnknownPipelineError
from pg_tide_relay.poll import CursorDoubtError
from pg_tide_relay.readiness import NotReadyError

_NAMES_MAX: Final = 10


@contextmanager
def looking_into(dsn: str, pipeline: str) -> Iterator[None]:
    """Errors of the database become a CommandError that names the cure; others pass."""
    try:
        yield
    except UnknownPipelineError as error:
        raise CommandError(
            f"{describe(dsn)}: {error}", cure=_which(pipeline, error.names), code=ExitCode.USAGE
        ) from None
    except NotReadyError as error:
        code = ExitCode.CONFIGURATION if error.final else ExitCode.FAILURE
        raise CommandError(f"{describe(dsn)}: {error}", cure=error.cure, code=code) from None
    except CursorDoubtError as error:
        raise CommandError(
            f"{describe(dsn)}: {error}",
            cure="a relay refuses it, too; repair it: select tide.group_rebase('<group>', '<outbox>');",
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise CommandError(
            f"{describe(dsn)}: {error.diag.message_primary}",
            cure="use a role with the rights of a relay, or give them to this one: "
            "select tide.role_grant('relay', '<role>');",
        ) from None
    except psycopg.DatabaseError as error:
        if error.sqlstate != "TD025":
            raise
        raise CommandError(
            f"{describe(dsn)}: {error.diag.message_primary}",
            cure=error.diag.message_hint or "",
            code=ExitCode.CONFIGURATION,
        ) from None


@contextmanager
def shaping(source: str) -> Iterator[None]:
    """A configuration that can't be used, or a registry that does not answer, becomes a CommandError."""
    try:
        yield
    except ConfigError as error:
        problems = "".join(f"\n  {problem}" for problem in error.problems)
        raise CommandError(
            f"the configuration of {source} can't be used:{problems}",
            cure="correct it in all these places; pg-tide preview --config FILE tries another one",
            code=ExitCode.CONFIGURATION,
        ) from None
    except RegistryError as error:
        is_away = error.error_class is ErrorClass.CLUSTER_AWAY
        raise CommandError(
            error.cause, cure=error.cure, code=ExitCode.TEMPORARY if is_away else ExitCode.CONFIGURATION
        ) from None


def _which(pipeline: str, names: Sequence[str]) -> str:
    guess = nearest(pipeline, names)
    if guess is not None:
        return f"did you mean {guess!r}?"
    if not names:
        return "there is none yet: make one with tide.relay_set_outbox"
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return f"{'there is' if len(names) == 1 else 'there are'} {', '.join(names[:_NAMES_MAX])}{more}"
