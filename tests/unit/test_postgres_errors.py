"""PostgreSQL's SQLSTATEs: each row of the table has its class, what the relay does, and a cure."""

import psycopg
import pytest
from psycopg.errors import lookup

from pg_tide_relay.error_policy import StateName, state_for
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.postgres import ConnectionChangedError
from pg_tide_relay.postgres_errors import (
    REFUSALS,
    UNKNOWN,
    Action,
    Refusal,
    classify_postgres,
    ends_connection,
    is_outage,
)
from pg_tide_relay.report import report_of_database

AWAY, CREDENTIALS, CONFIGURATION = (
    ErrorClass.CLUSTER_AWAY,
    ErrorClass.CREDENTIALS,
    ErrorClass.CONFIGURATION,
)

TABLE: list[tuple[str, ErrorClass, Action, str]] = [
    # the SQLSTATE, its class, what is done, a word that its text must have
    ("08000", AWAY, Action.WAIT, "connection"),
    ("08003", AWAY, Action.WAIT, "connection"),
    ("08006", AWAY, Action.WAIT, "connection"),
    ("08P01", AWAY, Action.WAIT, "connection"),
    ("57P01", AWAY, Action.WAIT, "stops"),
    ("57P02", AWAY, Action.WAIT, "crashed"),
    ("57P03", AWAY, Action.WAIT, "starts"),
    ("57P05", AWAY, Action.WAIT, "idle_session_timeout"),
    ("25P03", AWAY, Action.WAIT, "idle_in_transaction_session_timeout"),
    ("25P04", AWAY, Action.WAIT, "transaction_timeout"),
    ("53300", AWAY, Action.WAIT, "max_connections"),
    ("28000", CREDENTIALS, Action.WAIT, "pg_hba.conf"),
    ("28P01", CREDENTIALS, Action.WAIT, "password"),
    ("3D000", CONFIGURATION, Action.WAIT, "name of the database"),
    ("57P04", CONFIGURATION, Action.WAIT, "restore"),
    ("25006", AWAY, Action.CONNECT_ANEW, "target_session_attrs=read-write"),
    ("26000", CONFIGURATION, Action.CONNECT_ANEW, "max_prepared_statements"),
    ("42P05", CONFIGURATION, Action.CONNECT_ANEW, "max_prepared_statements"),
    ("0A000", CONFIGURATION, Action.CONNECT_ANEW, "upgrade"),
    ("25001", AWAY, Action.CONNECT_ANEW, "new connection"),
    ("25P02", AWAY, Action.CONNECT_ANEW, "new connection"),
    ("42501", CREDENTIALS, Action.TRY_AGAIN, "tide.role_grant"),
    ("3F000", CONFIGURATION, Action.TRY_AGAIN, "schema"),
    ("42P01", CONFIGURATION, Action.TRY_AGAIN, "upgrade"),
    ("42703", CONFIGURATION, Action.TRY_AGAIN, "upgrade"),
    ("42883", CONFIGURATION, Action.TRY_AGAIN, "upgrade"),
    ("55P03", AWAY, Action.TRY_AGAIN, "lock"),
    ("55000", AWAY, Action.TRY_AGAIN, "state"),
    ("55006", AWAY, Action.TRY_AGAIN, "state"),
    ("40001", AWAY, Action.TRY_AGAIN, "serialization"),
    ("40P01", AWAY, Action.TRY_AGAIN, "deadlock"),
    ("57014", AWAY, Action.TRY_AGAIN, "statement_timeout"),
    ("53100", AWAY, Action.TRY_AGAIN, "disk"),
    ("53200", AWAY, Action.TRY_AGAIN, "memory"),
    ("53400", AWAY, Action.TRY_AGAIN, "limit"),
    ("58030", AWAY, Action.TRY_AGAIN, "log"),
    ("XX000", AWAY, Action.TRY_AGAIN, "log"),
    ("XX001", AWAY, Action.TRY_AGAIN, "backup"),
    ("TD032", CONFIGURATION, Action.TRY_AGAIN, "docs/errors.md"),
]


def an_error(state: str) -> psycopg.Error:
    """As psycopg raises it; it knows no class for the schema's own codes."""
    if state.startswith("TD"):
        return type("OfTheSchema", (psycopg.DatabaseError,), {"sqlstate": state})("refused")
    return lookup(state)("refused")


@pytest.mark.parametrize(
    ("state", "error_class", "action", "word"), TABLE, ids=[f"{row[0]}" for row in TABLE]
)
def test_an_sqlstate_has_its_class_what_is_done_and_a_cure(
    state: str, error_class: ErrorClass, action: Action, word: str
) -> None:
    found = classify_postgres(an_error(state))
    assert (found.error_class, found.action) == (error_class, action)
    assert word in f"{found.means}: {found.cure}"


def test_every_row_is_tried() -> None:
    """A row that is added to the relay's table gets one in the table above."""
    tried = [classify_postgres(an_error(state)) for state, *_ in TABLE]
    assert [refusal for refusal in REFUSALS if refusal not in tried] == []


def test_no_state_stands_in_two_rows() -> None:
    states = [state for refusal in REFUSALS for state in refusal.states]
    assert len(states) == len(set(states))


@pytest.mark.parametrize("refusal", [*REFUSALS, UNKNOWN], ids=lambda refusal: "+".join(refusal.states) or "-")
def test_every_row_says_what_happened_and_one_sentence_to_act_on(refusal: Refusal) -> None:
    assert len(refusal.means.split()) > 3
    assert refusal.cure.endswith(".")
    assert "\n" not in refusal.cure


@pytest.mark.parametrize("refusal", [*REFUSALS, UNKNOWN])
def test_the_database_stops_no_pipeline_for_good_and_blames_no_message(refusal: Refusal) -> None:
    assert state_for(refusal.error_class) in (StateName.BACKING_OFF, StateName.ERROR)


def test_an_error_of_the_way_to_the_server_has_no_sqlstate_and_is_an_outage() -> None:
    """Connection refused, a name that does not resolve, a connection that broke: libpq gives only words."""
    for error in (psycopg.OperationalError("connection refused"), ConnectionChangedError()):
        assert classify_postgres(error).action is Action.WAIT
        assert is_outage(error)


def test_what_nobody_knows_is_no_outage_and_is_said_in_the_state() -> None:
    """A pipeline that meets it alone must not stop the others."""
    for error in (psycopg.ProgrammingError("of the driver"), lookup("22012")("division by zero")):
        assert classify_postgres(error) is UNKNOWN
        assert not is_outage(error)
        assert not ends_connection(error)


def test_what_is_no_error_of_the_database_is_no_outage() -> None:
    assert not is_outage(None)
    assert not is_outage(ValueError())


def test_only_what_another_connection_may_cure_ends_this_one() -> None:
    kept = {state for state, _, action, _ in TABLE if action is Action.TRY_AGAIN}
    assert {state for state, *_ in TABLE if not ends_connection(an_error(state))} == kept


def test_the_state_of_a_pipeline_names_what_happened_the_servers_words_and_the_cure() -> None:
    said = report_of_database(an_error("57014"))
    assert (said.state, said.error_class, said.error_code) == ("backing_off", AWAY, "57014")
    assert said.error == (
        "a statement was cancelled: statement_timeout ran out, or somebody asked for it: refused"
    )
    assert "statement_timeout" in (said.cure or "")
