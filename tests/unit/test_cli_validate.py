"""`pg-tide validate` of a file or stdin: without any database."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pg_tide_relay import cli

GOOD = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "order-events"}
NOBODY = "postgresql://app:geheim@127.0.0.1:1/shop"


@pytest.fixture(autouse=True)
def logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command leaves the logs alone, and nothing asks for JSON."""
    monkeypatch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)
    monkeypatch.delenv("PG_TIDE_OUTPUT", raising=False)


def pg_tide(*arguments: str, env: dict[str, str] | None = None, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli.build(), list(arguments), env=env, input=stdin)


def configuration(folder: Path, content: Any) -> str:
    path = folder / "orders.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_a_good_configuration_needs_no_database(tmp_path: Path) -> None:
    result = pg_tide("validate", configuration(tmp_path, GOOD), env={"PG_TIDE_POSTGRES_URL": NOBODY})
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Configurations checked: 1; errors: 0; warnings: 0.\n"


def test_all_errors_of_a_configuration_are_told_at_once(tmp_path: Path) -> None:
    path = configuration(tmp_path, GOOD | {"acks": "2", "topick": "x", "batch_size": 0})
    result = pg_tide("validate", path)
    assert result.exit_code == 78
    told = [line.removeprefix(f"{path}: ").split(": ")[:2] for line in result.stdout.splitlines()[:-1]]
    assert told == [["error", "acks"], ["error", "batch_size"], ["error", "topick"]]
    assert result.stdout.endswith("errors: 3; warnings: 0.\n")


def test_warnings_are_told_and_are_no_failure(tmp_path: Path) -> None:
    result = pg_tide("validate", configuration(tmp_path, GOOD | {"acks": "1"}))
    assert result.exit_code == 0
    assert re.search("warning: acks: ", result.stdout)


def test_an_expression_that_does_not_compile_is_an_error(tmp_path: Path) -> None:
    """SQL can't tell; one with a reference is known in the relay's environment only."""
    transform = {"filter": "total >", "payload": "{a: nosuch(b)}"}
    result = pg_tide("validate", configuration(tmp_path, GOOD | {"transform": transform}))
    assert result.exit_code == 78
    assert "error: transform.filter: 'total >' is no JMESPath expression" in result.stdout
    assert "error: transform.payload: '{a: nosuch(b)}' calls nosuch()" in result.stdout
    referring = GOOD | {"transform": {"filter": "${env:TIDE_FILTER} >"}}
    assert pg_tide("validate", configuration(tmp_path, referring)).exit_code == 0


def test_findings_as_json(tmp_path: Path) -> None:
    path = configuration(tmp_path, GOOD | {"acks": "2"})
    result = pg_tide("validate", path, "-o", "json")
    assert result.exit_code == 78
    answer = json.loads(result.stdout)
    assert (answer["checked"], answer["valid"]) == ([path], False)
    assert [(finding["severity"], finding["path"]) for finding in answer["findings"]] == [("error", "acks")]


def test_a_configuration_from_stdin() -> None:
    assert pg_tide("validate", "-", stdin=json.dumps(GOOD)).exit_code == 0


@pytest.mark.parametrize("content", ["{", "", '{"batch_size": NaN}'])
def test_a_file_that_is_no_json_is_an_invalid_configuration(tmp_path: Path, content: str) -> None:
    result = pg_tide("validate", configuration(tmp_path, content))
    assert result.exit_code == 78
    assert "is no JSON" in result.stderr


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    result = pg_tide("validate", str(tmp_path / "none.json"))
    assert result.exit_code == 2
    assert "none.json can't be read: No such file" in result.stderr


@pytest.mark.parametrize(("content", "code"), [("{", 78), (None, 2)], ids=["no JSON", "no file"])
def test_a_file_to_try_that_can_not_be_read_is_told_before_any_database_is_asked(
    tmp_path: Path, content: str | None, code: int
) -> None:
    path = str(tmp_path / "none.json") if content is None else configuration(tmp_path, content)
    result = pg_tide("preview", "p", "--config", path, "--postgres-url", NOBODY)
    assert (result.exit_code, result.stdout) == (code, "")
    assert path in result.stderr
