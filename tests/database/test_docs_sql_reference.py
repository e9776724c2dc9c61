"""The SQL reference says what the catalogue says, and every function of the schema has its line."""

import psycopg

from pg_tide_dev.databases import Database
from sql_reference import FAMILIES, FUNCTIONS, PAGE, family_of, reference


def test_the_sql_reference_is_current(database: Database) -> None:
    """When this fails: python tests/sql_reference.py."""
    assert PAGE.read_text(encoding="utf-8") == reference(database.dsn)


def test_every_function_has_a_comment_and_named_arguments(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        functions = connection.execute(FUNCTIONS).fetchall()
    assert len(functions) > 15
    for name, arguments, _, comment in functions:
        assert comment, name
        assert all(len(argument.split()) >= 2 for argument in arguments.split(", ") if argument), name


def test_every_family_of_functions_has_one(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        functions = connection.execute(FUNCTIONS).fetchall()
    assert {family_of(name) for name, *_ in functions} == set(FAMILIES)
