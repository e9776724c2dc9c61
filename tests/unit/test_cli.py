"""The command line without a database: flags, environment, precedence, exit codes, secrets."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from pg_tide_relay import cli
from pg_tide_relay.commands import run as run_command
from pg_tide_relay.settings import RelaySettings
from pg_tide_sql.versions import RELEASE

COMMANDS = ["run", "install", "upgrade", "uninstall", "status", "validate", "preview", "topics ensure"]
NOBODY = "postgresql://app:geheim@127.0.0.1:1/shop"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches the tests; wide enough that nothing is wrapped."""
    for name in list(os.environ):
        if name.startswith(("PG", "DATABASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Format and level of each set-up of the logs, which stay as they are."""
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr("pg_tide_relay.logs.configure", lambda *given: calls.append(given))
    return calls


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[RelaySettings]:
    """Settings that relays were started with, which end at once with exit code 0."""
    settings: list[RelaySettings] = []

    def end_at_once(given: RelaySettings) -> int:
        settings.append(given)
        return 0

    monkeypatch.setattr(run_command, "run_relay", end_at_once)
    return settings


def pg_tide(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli.build(), list(arguments), env=env)


def flags() -> Iterator[tuple[str, Any]]:
    root = typer.main.get_command(cli.build())
    for name, command in {"pg-tide": root, **commands_of(root)}.items():
        for parameter in command.params:
            yield name, parameter


def commands_of(group: Any, place: str = "") -> dict[str, Any]:
    """Each command by what is typed for it."""
    found = {f"{place}{name}": command for name, command in group.commands.items()}
    inner = [commands_of(one, f"{name} ") for name, one in found.items() if hasattr(one, "commands")]
    return {
        name: one for some in (found, *inner) for name, one in some.items() if not hasattr(one, "commands")
    }


# -- starting the relay --


def test_the_url_alone_starts_the_relay(started: list[RelaySettings]) -> None:
    result = pg_tide("--postgres-url", "postgresql://relay_user:password@localhost:5432/mydb")
    assert (result.exit_code, result.output) == (0, "")
    assert [settings.dsn for settings in started] == ["postgresql://relay_user:password@localhost:5432/mydb"]


def test_run_is_the_named_form(started: list[RelaySettings]) -> None:
    assert pg_tide("run", "--postgres-url", NOBODY).exit_code == 0
    assert pg_tide("--postgres-url", NOBODY, "run").exit_code == 0
    assert [settings.dsn for settings in started] == [NOBODY, NOBODY]


def test_the_defaults_of_a_relay(started: list[RelaySettings]) -> None:
    pg_tide("run")
    (settings,) = started
    assert settings.relay_id.endswith(f"-{os.getpid()}")
    assert settings == RelaySettings(
        dsn="",
        relay_id=settings.relay_id,
        lease_ms=10_000,
        drain_timeout_s=30.0,
        allow_env=(),
        poll_interval_ms=5.0,
        pipelines=(),
        installation="",
    )


EXPECTED = RelaySettings(
    dsn=NOBODY,
    relay_id="blue",
    lease_ms=2_000,
    drain_timeout_s=7.5,
    allow_env=("APP_*", "SHOP_*"),
    poll_interval_ms=50.0,
    pipelines=("a", "b-c"),
    installation="shop north",
)
FLAGS = [
    *("--postgres-url", NOBODY, "--relay-id", "blue", "--lease-ms", "2000", "--drain-timeout", "7.5"),
    *("--allow-env", "APP_*", "--allow-env", "SHOP_*", "--poll-interval-ms", "50"),
    *("--pipeline", "a", "--pipeline", "b-c"),
    *("--installation", "shop north"),
]
ENVIRONMENT = {
    "PG_TIDE_POSTGRES_URL": NOBODY,
    "PG_TIDE_RELAY_ID": "blue",
    "PG_TIDE_LEASE_MS": "2000",
    "PG_TIDE_DRAIN_TIMEOUT": "7.5",
    "PG_TIDE_ALLOW_ENV": "APP_* SHOP_*",
    "PG_TIDE_POLL_INTERVAL_MS": "50",
    "PG_TIDE_PIPELINE": "a b-c",
    "PG_TIDE_INSTALLATION": "shop north",
}


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["run", *FLAGS], {}),
        (FLAGS, {}),
        ([*FLAGS, "run"], {}),
        (["run"], ENVIRONMENT),
        ([], ENVIRONMENT),
        ([*FLAGS[:4], "run", *FLAGS[4:]], {}),
    ],
    ids=["after run", "without run", "before run", "environment", "environment without run", "on both sides"],
)
def test_flags_and_environment_reach_the_relay(
    started: list[RelaySettings], arguments: list[str], env: dict[str, str]
) -> None:
    assert pg_tide(*arguments, env=env).exit_code == 0
    assert started == [EXPECTED]


def test_what_is_typed_wins_over_the_environment(started: list[RelaySettings]) -> None:
    env = {"PG_TIDE_RELAY_ID": "env", "PG_TIDE_POSTGRES_URL": "host=env"}
    pg_tide("--relay-id", "before", "--postgres-url", "host=before", "run", env=env)
    pg_tide("--relay-id", "before", "run", "--relay-id", "after", env=env)
    assert [(settings.relay_id, settings.dsn) for settings in started] == [
        ("before", "host=before"),
        ("after", "host=env"),
    ]


def test_the_order_in_which_the_url_is_looked_for(started: list[RelaySettings]) -> None:
    env = {"PG_TIDE_POSTGRES_URL": "host=ours", "DATABASE_URL": "host=everybodys"}
    pg_tide("run", "--postgres-url", "host=typed", env=env)
    pg_tide("run", env=env)
    pg_tide("run", env={"DATABASE_URL": "host=everybodys"})
    pg_tide("run", env={"PGHOST": "libpq"})
    assert [settings.dsn for settings in started] == ["host=typed", "host=ours", "host=everybodys", ""]


def test_libpq_environment_alone_starts_the_relay(started: list[RelaySettings]) -> None:
    assert pg_tide(env={"PGSERVICE": "shop"}).exit_code == 0
    assert [settings.dsn for settings in started] == [""]


def test_global_flags_may_stand_before_a_command_of_a_group() -> None:
    before, after = (
        ["--postgres-url", NOBODY, "topics", "ensure"],
        ["topics", "ensure", "--postgres-url", NOBODY],
    )
    for typed in (before, after, ["--postgres-url", "host=127.0.0.2", *after]):
        result = pg_tide(*typed)
        assert (result.exit_code, "database shop on 127.0.0.1:1 as app" in result.stderr) == (75, True)


def test_nothing_at_all_is_wrong_usage_and_says_how_to_go_on(started: list[RelaySettings]) -> None:
    result = pg_tide()
    assert (result.exit_code, started) == (2, [])
    assert "no database is named" in result.stderr
    assert "pg-tide --help" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--lease-ms", "10"],
        ["--drain-timeout", "-1"],
        ["--poll-interval-ms", "0"],
        ["--relay-id", "x" * 256],
        ["--processes", "0"],
        ["--processes", "65"],
        ["--processes", "2", "--relay-id", "x" * 254],
    ],
)
def test_a_setting_out_of_range_is_wrong_usage(started: list[RelaySettings], arguments: list[str]) -> None:
    assert pg_tide("run", *arguments).exit_code == 2
    assert started == []


def test_the_exit_code_of_the_relay_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_command, "run_relay", lambda _settings: 78)
    assert pg_tide("run").exit_code == 78


# -- flags, help, version --


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option: str) -> None:
    assert pg_tide(option).stdout == f"pg-tide {RELEASE} (schema version 1)\n"


def test_every_flag_can_be_given_in_the_environment() -> None:
    without = {"--help", "--version", "--install-completion", "--show-completion"}
    for command, parameter in flags():
        if parameter.param_type_name == "argument" or without & set(parameter.opts):
            continue
        names = parameter.envvar if isinstance(parameter.envvar, list) else [parameter.envvar]
        expected = "PG_TIDE_" + parameter.opts[0].removeprefix("--").replace("-", "_").upper()
        assert names[0] == expected, (command, parameter.name)


def test_every_flag_and_command_is_explained() -> None:
    for command, parameter in flags():
        assert getattr(parameter, "help", None), (command, parameter.name)
    for command in COMMANDS:
        assert len(pg_tide(*command.split(), "--help").stdout.split()) > 40, command


def test_global_flags_exist_on_every_command() -> None:
    wanted = {"--postgres-url", "--log-format", "--log-level", "--verbose", "--quiet"}
    for command in ["pg-tide", *COMMANDS]:
        options = {option for name, parameter in flags() if name == command for option in parameter.opts}
        assert wanted <= options, command


def test_help_tells_what_there_is_and_the_exit_codes() -> None:
    result = pg_tide("--help")
    assert result.exit_code == 0
    for word in [
        *(command.split()[0] for command in COMMANDS),
        "PG_TIDE_POSTGRES_URL",
        "DATABASE_URL",
        "PGHOST",
        "75",
        "78",
        "130",
    ]:
        assert word in result.stdout, word
    assert "\x1b[" not in result.stdout


def test_shell_completion_knows_the_commands() -> None:
    env = {"_PG_TIDE_COMPLETE": "complete_bash", "COMP_WORDS": "pg-tide un", "COMP_CWORD": "1"}
    result = CliRunner().invoke(cli.build(), [], env=env, prog_name="pg-tide")
    assert result.stdout.split() == ["uninstall"]


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["status", "--no-such-flag"], ["status", "-o", "xml"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert pg_tide(*arguments).exit_code == 2


# -- databases that can't be reached, and secrets --


@pytest.mark.parametrize(
    "command", ["install", "upgrade", "uninstall", "status", "validate", "preview p", "topics ensure"]
)
def test_a_database_that_is_away_is_temporary_and_named_without_its_password(command: str) -> None:
    result = pg_tide(*command.split(), "--postgres-url", NOBODY)
    assert result.exit_code == 75
    assert "database shop on 127.0.0.1:1 as app" in result.stderr
    assert "What to do: " in result.stderr
    assert "geheim" not in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://app:geheim@ni@127.0.0.1:1/shop",
        "postgresql://app:wort@geheim@127.0.0.1:1/shop",
        "postgresql://app:ni/geheim@127.0.0.1:1/shop",
        "postgresql://app:geheim%zz@127.0.0.1:1/shop",
        "postgresql://app:geheim@127.0.0.1:1/shop?nonsense=geheim",
        "postgresql://app:geheim@[::1/shop",
        "host=127.0.0.1 password=ge geheim",
        "host=127.0.0.1 password='geheim",
        'host=127.0.0.1 password=a "geheim"',
        "geheim",
    ],
)
@pytest.mark.parametrize("command", ["run", "status", "install"])
def test_a_malformed_connection_string_is_wrong_usage_and_not_quoted(
    started: list[RelaySettings], command: str, dsn: str
) -> None:
    result = pg_tide(command, "--postgres-url", dsn)
    assert (result.exit_code, started) == (2, [])
    assert "geheim" not in result.output
    assert "connection string" in result.stderr


def test_passwords_of_the_environment_are_not_printed() -> None:
    result = pg_tide(
        "status", env={"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "app", "PGPASSWORD": "geheim"}
    )
    assert result.exit_code == 75
    assert "on 127.0.0.1:1 as app" in result.stderr
    assert "geheim" not in result.output


# -- logs --


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        ([], "info"),
        (["-v"], "debug"),
        (["-q"], "warning"),
        (["--log-level", "error"], "error"),
        (["--log-level", "error", "-v"], "warning"),
        (["--log-level", "error", "-q"], "error"),
    ],
)
def test_flags_decide_format_and_level_of_logs(
    started: list[RelaySettings], configured: list[tuple[str, str]], arguments: list[str], level: str
) -> None:
    for typed in (
        ["--log-format", "json", *arguments, "run"],
        ["run", "--log-format", "json", *arguments],
        ["--log-format", "json", *arguments, "--postgres-url", NOBODY],
    ):
        assert pg_tide(*typed).exit_code == 0
        assert configured[-1] == ("json", level)
