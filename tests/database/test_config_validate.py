"""`tide.relay_validate` says of every configuration what the relay's own check says of it."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import scalar_row

from fix_postgres import database_on
from pg_tide_dev.databases import Database
from pg_tide_dev.postgres import PostgresServer
from pg_tide_relay.config.check import check
from pg_tide_relay.config.keys import keys_of
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.config.rules import pipeline_rules, rules_of
from unit.config.configurations import CONDITIONS, MadeUp, anything, following, table, texts

Found = list[tuple[str, str, str]]
MADE_UP_RULES = rules_of(MadeUp)


@pytest.fixture(scope="module")
def connection(pg: PostgresServer, templates: dict[str, Database]) -> Iterator[psycopg.Connection]:
    """A connection to a database with the schema; the tests here only read."""
    for database in database_on(pg, templates):
        with database.connect(autocommit=True) as opened:
            yield opened


def said_by_sql(connection: psycopg.Connection, config: Any) -> Found:
    return connection.execute("select * from tide.relay_validate(%s::jsonb)", [json.dumps(config)]).fetchall()


def said_by_python(rules: dict[str, Any], config: Any) -> Found:
    return [(problem.path, problem.severity, problem.message) for problem in check(rules, config)]


@pytest.mark.parametrize(("config", "problems"), [pytest.param(c, p, id=n) for n, c, p in table()])
def test_a_configuration_has_exactly_these_problems(
    connection: psycopg.Connection, config: Any, problems: list[list[str]]
) -> None:
    """All problems are told at once, each with its path, in a fixed order."""
    assert said_by_sql(connection, config) == [tuple(problem) for problem in problems]


def test_a_missing_configuration_is_an_error(connection: psycopg.Connection) -> None:
    """NULL is no configuration."""
    rows = connection.execute("select * from tide.relay_validate(null)").fetchall()
    assert rows == [("$", "error", "must be an object, not null")]


def test_an_administrator_may_validate(connection: psycopg.Connection) -> None:
    """The right to call `tide.relay_validate` is enough; the functions behind it need none."""
    with connection.transaction(force_rollback=True):
        connection.execute("set local role tide_admin")
        assert said_by_sql(connection, {"sink": 1}) == said_by_python(pipeline_rules(), {"sink": 1})
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select tide._config_rules()")


@settings(deadline=None, max_examples=100)
@given(config=following(pipeline_rules()))
def test_sql_and_python_say_the_same_of_a_pipeline(connection: psycopg.Connection, config: Any) -> None:
    """Same verdict, same paths, same messages, same order, for good, mutated and random configurations."""
    assert said_by_sql(connection, config) == said_by_python(pipeline_rules(), config)


@settings(deadline=None, max_examples=100)
@given(config=following(MADE_UP_RULES))
def test_sql_and_python_read_every_kind_of_rule_alike(connection: psycopg.Connection, config: Any) -> None:
    """The SQL knows the rule language, not the keys: a made-up model with everything in it is read alike."""
    found = connection.execute(
        "select * from tide._config_problems(%s::jsonb, %s::jsonb)",
        [json.dumps(MADE_UP_RULES), json.dumps(config)],
    ).fetchall()
    assert found == said_by_python(MADE_UP_RULES, config)


@settings(deadline=None, max_examples=100)
@given(config=anything)
def test_sql_and_python_say_the_same_of_any_json(connection: psycopg.Connection, config: Any) -> None:
    """Whatever JSON is given, neither fails and both say the same."""
    assert said_by_sql(connection, config) == said_by_python(pipeline_rules(), config)


@settings(deadline=None, max_examples=100)
@given(word=texts, candidates=st.lists(texts, max_size=4))
def test_the_nearest_name_is_the_same_in_sql(
    connection: psycopg.Connection, word: str, candidates: list[str]
) -> None:
    """`tide._nearest` gives what Python gives."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute("select tide._nearest(%s, %s::text[])", [word, candidates]).fetchone()
    assert found == nearest(word, candidates)


def test_the_nearest_of_nothing_is_null(connection: psycopg.Connection) -> None:
    """No word, no candidates, candidates that are null: there is nothing near."""
    row = connection.execute(
        "select tide._nearest(null, array['a']), tide._nearest('a', null), tide._nearest('ab', '{}'),"
        " tide._nearest('orders', array[null, 'order', null])"
    ).fetchone()
    assert row == (None, None, None, "order")


def test_a_condition_means_what_it_says(connection: psycopg.Connection) -> None:
    """Booleans are no numbers, and what a reference will be is not known."""
    for test, value, values, expected in CONDITIONS:
        row = connection.execute(
            "select tide._config_condition(%s, nullif(%s::jsonb, 'null'), %s::jsonb)",
            [test, json.dumps(value), json.dumps(values)],
        ).fetchone()
        assert row == (expected,), (test, value, values)


def test_the_stored_rules_are_those_of_the_models(connection: psycopg.Connection) -> None:
    """The database was given the rules that this program reads."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        assert cursor.execute("select tide._config_rules()").fetchone() == pipeline_rules()


def test_the_keys_are_listed_with_type_default_and_effect(connection: psycopg.Connection) -> None:
    """`tide.config_keys` shows each key as the models declare it."""
    rows = connection.execute(
        "select key, type, accepts, unit, required, default_value, description, reason, reaches"
        " from tide.config_keys order by number"
    ).fetchall()
    expected = [
        (
            key.path,
            key.type,
            key.accepts,
            key.unit,
            key.required,
            None if key.default in (None, "null") else json.loads(key.default or ""),
            key.description,
            key.reason,
            key.reaches,
        )
        for key in keys_of(PipelineConfig)
    ]
    assert rows == expected


def test_every_object_of_validation_has_a_comment(connection: psycopg.Connection) -> None:
    """Functions and the view can be understood from psql alone."""
    rows = connection.execute(
        "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        " where n.nspname = 'tide' and p.proname ~ '^(_config_|_nearest|_levenshtein|relay_validate)'"
        "   and obj_description(p.oid, 'pg_proc') is null"
        " union all select 'config_keys' where obj_description('tide.config_keys'::regclass) is null"
        " union all select attname from pg_attribute"
        "  where attrelid = 'tide.config_keys'::regclass and attnum > 0"
        "    and col_description(attrelid, attnum) is null"
    ).fetchall()
    assert rows == []
