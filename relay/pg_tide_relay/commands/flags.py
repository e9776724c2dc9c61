"""Groups of flags, and how a command receives them.

A command names a group as one argument (``database: DatabaseFlags``); ``with_flags`` shows typer the
group's fields as single flags. A global flag may stand before or after the command's name; the one nearer
to the command wins, then the environment, then the default.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, Final, Literal, get_type_hints

import typer

from pg_tide_relay import logs
from pg_tide_relay.commands.failure import reported
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT
from pg_tide_relay.logs import LogFormat, LogLevel

_LEVELS: Final[tuple[LogLevel, ...]] = ("debug", "info", "warning", "error")

OutputFormat = Literal["table", "json"]
Output = Annotated[
    OutputFormat,
    typer.Option("--output", "-o", envvar="PG_TIDE_OUTPUT", help="A table for people, or JSON for programs."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", envvar="PG_TIDE_YES", help="Do not ask before anything is destroyed.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", envvar="PG_TIDE_DRY_RUN", help="Say what would be done, and do nothing.")
]
ALLOW_ENV_HELP: Final = (
    "Further environment variables that pipelines may refer to with ${env:NAME}, such as APP_KAFKA_*; may be given "
    "several times (environment: separated by spaces)."
)
AllowEnv = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-env",
        envvar="PG_TIDE_ALLOW_ENV",
        metavar="PATTERN",
        show_default=", ".join(ALLOWED_BY_DEFAULT),
        help=ALLOW_ENV_HELP,
    ),
]


@dataclass(frozen=True, kw_only=True)
class DatabaseFlags:
    """Which database."""

    postgres_url: Annotated[
        str,
        typer.Option(
            "--postgres-url",
            envvar=["PG_TIDE_POSTGRES_URL", "DATABASE_URL"],
            metavar="URL",
            show_default="what libpq finds: PGHOST, PGSERVICE, PGPASSFILE, ...",
            help="Connection string of the database, postgresql://... or key=value pairs, as libpq reads it. "
            "It is never printed.",
        ),
    ] = ""


@dataclass(frozen=True, kw_only=True)
class LogFlags:
    """What is logged, and how."""

    log_format: Annotated[
        LogFormat,
        typer.Option(
            "--log-format",
            envvar="PG_TIDE_LOG_FORMAT",
            help="Text for people, or one JSON object a line. Logs go to stderr.",
            rich_help_panel="Logs",
        ),
    ] = "console"
    log_level: Annotated[
        LogLevel,
        typer.Option(
            "--log-level",
            envvar="PG_TIDE_LOG_LEVEL",
            help="The least important lines that are logged.",
            rich_help_panel="Logs",
        ),
    ] = "info"
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", envvar="PG_TIDE_VERBOSE", help="Log one level more.", rich_help_panel="Logs"
        ),
    ] = False
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            envvar="PG_TIDE_QUIET",
            help="Log warnings and errors only.",
            rich_help_panel="Logs",
        ),
    ] = False

    @property
    def level(self) -> LogLevel:
        """The least important lines that are logged, as the flags say."""
        number = _LEVELS.index(self.log_level)
        if self.verbose:
            number = max(number - 1, 0)
        if self.quiet:
            number = max(number, _LEVELS.index("warning"))
        return _LEVELS[number]

    def configure(self) -> None:
        """Set up logging as the flags say."""
        logs.configure(self.log_format, self.level)


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer should see it: groups spread into flags, logging set up, errors told in words."""
    hints = get_type_hints(command, include_extras=True)
    names = list(inspect.signature(command).parameters)
    groups = {name: hints[name] for name in names if is_dataclass(hints[name])}

    def spread(ctx: typer.Context, **values: Any) -> None:
        arguments = {
            name: _group(groups[name], ctx, values) if name in groups else _value(ctx, name, values)
            for name in names
        }
        for group in arguments.values():
            if isinstance(group, LogFlags):
                group.configure()
        with reported(_value(ctx, "postgres_url", values)):
            command(**arguments)

    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _parameters(groups[name])
        elif name != "ctx":
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))
    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    # Lines are broken by the terminal's width, paragraphs stay.
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    spread.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    spread.__name__ = command.__name__
    return spread


def _parameters(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            flag.name, inspect.Parameter.KEYWORD_ONLY, default=flag.default, annotation=hints[flag.name]
        )
        for flag in fields(group)
    ]


def _group(group: Any, ctx: typer.Context, values: dict[str, Any]) -> Any:
    return group(**{flag.name: _value(ctx, flag.name, values) for flag in fields(group)})


def _value(ctx: typer.Context, name: str, values: dict[str, Any]) -> Any:
    """What was typed nearest to the command, else what the command itself found."""
    if name == "ctx":
        return ctx
    if not _typed(ctx, name):
        outer = ctx.parent
        while outer is not None:
            if name in outer.params and _typed(outer, name):
                return outer.params[name]
            outer = outer.parent
    return values.get(name, "")


def _typed(ctx: Any, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
