"""The commands that read or change a database, as an operator calls them."""

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from pg_tide_dev.databases import Database
from pg_tide_relay import cli
from pg_tide_sql.versions import RELEASE, SCHEMA_VERSION

CONFIG = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "order-events"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches the commands, and they leave the logs as they are."""
    for name in list(os.environ):
        if name.startswith(("PGHOST", "PGUSER", "PGPASS", "PGSERVICE", "PGDATABASE", "DATABASE_URL")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)


def pg_tide(*arguments: str, stdin: str | None = None, **env: str) -> Result:
    return CliRunner().invoke(cli.build(), list(arguments), input=stdin, env=env)


def on(database: Database, *arguments: str, stdin: str | None = None) -> Result:
    result = pg_tide(*arguments, "--postgres-url", database.dsn, stdin=stdin)
    password = psycopg.conninfo.conninfo_to_dict(database.dsn).get("password")
    assert str(password) not in result.output
    assert "Traceback" not in result.output
    return result


def has_schema(database: Database) -> bool:
    with database.connect() as connection:
        return connection.execute("select to_regnamespace('tide') is not null").fetchone() == (True,)


def set_pipeline(
    database: Database, config: dict[str, Any] | None = None, name: str = "orders-to-kafka"
) -> None:
    with database.connect() as connection:
        connection.execute("select tide.outbox_create('orders') where not exists (select from tide.outbox)")
        connection.execute(
            "select tide.relay_set_outbox(%s, 'orders', %s, %s)",
            [name, f"{name}-group", json.dumps(config or CONFIG)],
        )


# -- install, upgrade --


def test_install_says_what_it_did_and_where(empty_database: Database) -> None:
    first = on(empty_database, "install")
    assert first.exit_code == 0
    assert f"installed, version {SCHEMA_VERSION}, in database {empty_database.name} on" in first.stdout
    assert has_schema(empty_database)
    again = on(empty_database, "install")
    assert (again.exit_code, f"has version {SCHEMA_VERSION} already" in again.stdout) == (0, True)


@pytest.mark.parametrize("name", ["PG_TIDE_POSTGRES_URL", "DATABASE_URL"])
def test_install_by_environment_alone(empty_database: Database, name: str) -> None:
    assert pg_tide("install", **{name: empty_database.dsn}).exit_code == 0
    assert has_schema(empty_database)


def test_install_by_libpq_environment_alone(empty_database: Database) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(empty_database.dsn)
    variables = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    result = pg_tide("install", **{variable: str(parts[key]) for key, variable in variables.items()})
    assert result.exit_code == 0
    assert f"database {empty_database.name} on 127.0.0.1:{parts['port']} as postgres" in result.stdout


def test_install_with_a_service_file(empty_database: Database, tmp_path: Path) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(empty_database.dsn)
    lines = "\n".join(f"{key}={value}" for key, value in parts.items())
    (tmp_path / "services").write_text(f"[shop]\n{lines}\n", encoding="utf-8")
    env = {"PGSERVICEFILE": str(tmp_path / "services")}
    result = pg_tide("install", "--postgres-url", "service=shop", **env)
    assert result.exit_code == 0
    assert has_schema(empty_database)


def test_install_dry_run_installs_nothing(empty_database: Database) -> None:
    result = on(empty_database, "install", "--dry-run")
    assert (result.exit_code, "would be installed" in result.stdout) == (0, True)
    assert not has_schema(empty_database)


def test_a_newer_schema_is_refused_with_its_cure(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("insert into tide.schema_version (version, release) values (99, '7.0.0')")
    result = on(database, "install")
    assert result.exit_code == 1
    assert "schema tide has version 99 (release 7.0.0), newer than version" in result.stderr
    assert "(SQLSTATE TD050)" in result.stderr
    assert "What to do: Use release 7.0.0 of pg-tide or a newer one." in result.stderr


def test_upgrade_refuses_where_nothing_is_installed(empty_database: Database) -> None:
    result = on(empty_database, "upgrade")
    assert result.exit_code == 1
    assert f"database {empty_database.name} on" in result.stderr
    assert "What to do: run: pg-tide install" in result.stderr
    assert not has_schema(empty_database)


def test_upgrade_of_the_current_version_has_nothing_to_do(database: Database) -> None:
    result = on(database, "upgrade")
    assert (result.exit_code, "nothing to do" in result.stdout) == (0, True)


# -- uninstall --


def test_uninstall_shows_what_is_lost_asks_and_removes(database: Database) -> None:
    set_pipeline(database)
    with database.connect() as connection:
        connection.execute(
            "select tide.outbox_publish('orders', '{}'::jsonb, 'k') from generate_series(1, 3)"
        )
    result = on(database, "uninstall", stdin="y\n")
    assert result.exit_code == 0
    assert "outbox orders: 3 waiting for group orders-to-kafka-group" in result.stdout
    assert "Remove all of it? [y/N]" in result.output
    assert "pg-tide is removed from" in result.stdout
    assert not has_schema(database)


def test_uninstall_removes_nothing_when_the_answer_is_no(database: Database) -> None:
    result = on(database, "uninstall", stdin="\n")
    assert (result.exit_code, "nothing was removed" in result.stderr) == (1, True)
    assert has_schema(database)


def test_a_question_that_is_left_open_is_exit_code_130(database: Database) -> None:
    assert on(database, "uninstall", stdin="").exit_code == 130
    assert has_schema(database)


def test_uninstall_with_yes_does_not_ask(database: Database) -> None:
    result = on(database, "uninstall", "--yes")
    assert (result.exit_code, "Remove all of it?" in result.output) == (0, False)
    assert not has_schema(database)


def test_uninstall_dry_run_shows_and_removes_nothing(database: Database) -> None:
    set_pipeline(database)
    result = on(database, "uninstall", "--dry-run", "--yes")
    assert (result.exit_code, "outbox orders: 0 waiting" in result.stdout) == (0, True)
    assert has_schema(database)


def test_uninstalling_nothing_is_no_error(empty_database: Database) -> None:
    result = on(empty_database, "uninstall")
    assert (result.exit_code, "nothing to do" in result.stdout) == (0, True)


def test_a_lock_in_the_way_is_temporary(database: Database) -> None:
    with database.connect() as reader:
        reader.execute("select from tide.outbox")
        result = on(database, "uninstall", "--yes", "--lock-timeout", "50ms")
    assert result.exit_code == 75
    assert "another session is in the way" in result.stderr
    assert has_schema(database)


# -- status --


def test_status_of_a_database_without_pg_tide(empty_database: Database) -> None:
    result = on(empty_database, "status")
    assert (result.exit_code, "pg-tide is not installed there" in result.stderr) == (1, True)


def test_status_as_json(database: Database) -> None:
    secret = {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "geheim"}
    set_pipeline(database, CONFIG | secret)
    with database.connect() as connection:
        connection.execute(
            "select tide.outbox_publish('orders', '{}'::jsonb, 'k') from generate_series(1, 2)"
        )
        connection.execute(
            "insert into tide.relay (relay_id, token, host, pid, release)"
            " values ('blue', gen_random_uuid(), 'a', 1, '0.1.0')"
        )
    result = on(database, "status", "-o", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer["program"] == {"release": RELEASE, "schema_version": SCHEMA_VERSION}
    assert (answer["schema"]["version"], answer["schema"]["release"]) == (SCHEMA_VERSION, RELEASE)
    (pipeline,) = answer["pipelines"]
    assert (pipeline["pipeline"], pipeline["outbox"], pipeline["state"]) == (
        "orders-to-kafka",
        "orders",
        "waiting",
    )
    (lag,) = answer["lag"]
    assert (lag["consumer_group"], lag["pending"]) == ("orders-to-kafka-group", 2)
    assert 0 <= lag["oldest_age"] < 600
    assert [(relay["relay_id"], relay["state"]) for relay in answer["relays"]] == [("blue", "standby")]
    assert "geheim" not in result.output


def test_status_as_table_names_the_error_of_a_pipeline_and_its_cure(database: Database) -> None:
    set_pipeline(database)
    with database.connect() as connection:
        connection.execute(
            "insert into tide.pipeline_state"
            " (pipeline_id, state, relay_id, version, error_class, error_code, error, cure, message_id)"
            " select pipeline_id, 'error', 'blue', version, 'message', 'MSG_SIZE_TOO_LARGE', 'message 7 is too large',"
            " 'raise max.message.bytes', 7 from tide.pipeline"
        )
    result = on(database, "status")
    assert result.exit_code == 0
    assert f"Schema tide has version {SCHEMA_VERSION}" in result.stdout
    assert "orders-to-kafka (message, message 7): message 7 is too large" in result.stdout
    assert "what to do: raise max.message.bytes" in result.stdout
    assert "attempts" not in result.stdout
    assert "Relays: none" in result.stdout
    assert "\x1b[" not in result.stdout


def test_status_tells_how_often_it_was_tried_and_when_it_is_tried_again(database: Database) -> None:
    set_pipeline(database)
    with database.connect() as connection:
        connection.execute(
            "insert into tide.pipeline_state"
            " (pipeline_id, state, relay_id, version, error_class, error, attempts, next_attempt_at)"
            " select pipeline_id, 'backing_off', 'blue', version, 'destination', 'no topic', 7,"
            " '2026-01-01 00:00:01+00' from tide.pipeline"
        )
        connection.execute(
            "update tide.cursor set owner = 'blue', owner_token = gen_random_uuid(),"
            " lease_until = clock_timestamp() + interval '1 hour', stamp = pg_current_xact_id()::xid"
        )
    assert "attempts that failed: 7; the next one is at 2026-01-01 " in on(database, "status").stdout
    (row,) = json.loads(on(database, "status", "-o", "json").stdout)["pipelines"]
    assert (row["attempts"], row["state"]) == (7, "backing_off")


def test_no_line_of_a_table_is_cut_in_a_pipe(database: Database) -> None:
    name = "pipeline-" + "x" * 200
    set_pipeline(database, name=name)
    assert name in on(database, "status").stdout


def test_a_monitor_reads_the_status_and_a_stranger_is_told_what_to_grant(database: Database) -> None:
    set_pipeline(database)
    with database.connect(autocommit=True) as connection:
        connection.execute("drop role if exists watcher")
        connection.execute("create role watcher login password 'watcher'")
        dsn = psycopg.conninfo.make_conninfo(database.dsn, user="watcher", password="watcher")
        refused = pg_tide("status", "--postgres-url", dsn)
        connection.execute("select tide.role_grant('monitor', 'watcher')")
        allowed = pg_tide("status", "--postgres-url", dsn)
        connection.execute("drop owned by watcher")
        connection.execute("drop role watcher")
    assert (refused.exit_code, "tide.role_grant('monitor'" in refused.stderr) == (1, True)
    assert (allowed.exit_code, "orders-to-kafka" in allowed.stdout) == (0, True)


# -- validate --


def test_stored_pipelines_are_validated(database: Database) -> None:
    set_pipeline(database, CONFIG | {"acks": "1"})
    set_pipeline(database, name="second")
    result = on(database, "validate", "-o", "json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["checked"], answer["valid"]) == (["orders-to-kafka", "second"], True)
    assert [(finding["source"], finding["path"]) for finding in answer["findings"]] == [
        ("orders-to-kafka", "acks")
    ]


def test_a_stored_pipeline_that_became_invalid_is_exit_code_78(database: Database) -> None:
    set_pipeline(database)
    with database.connect() as connection:
        connection.execute('update tide.pipeline set config = config || \'{"acks": "7"}\'')
    result = on(database, "validate")
    assert result.exit_code == 78
    assert "orders-to-kafka: error: acks: " in result.stdout
