"""What PostgreSQL's errors mean for a relay, by SQLSTATE: a table, and a lookup in it.

The states and their classes are those of PostgreSQL's appendix A ("Error Codes"); ``TD...`` are the schema's own.
A server that refuses a connection tells no SQLSTATE (libpq has only its words), so those rows also stand for
errors without one.
"""

from enum import Enum, auto
from typing import Final, NamedTuple

import psycopg

from pg_tide_relay.errors import ErrorClass


class Action(Enum):
    """What the relay does."""

    WAIT = auto()
    """The server or the way to it failed: the process connects anew every second, all pipelines wait."""
    CONNECT_ANEW = auto()
    """Another connection may do better: this one is closed, then as with TRY_AGAIN."""
    TRY_AGAIN = auto()
    """The pipeline says so in its state, reads its cursor again and goes on, with growing pauses."""


class Refusal(NamedTuple):
    """Errors of PostgreSQL that mean the same."""

    states: tuple[str, ...]
    """SQLSTATEs of five characters, or classes of them: their first two."""
    error_class: ErrorClass
    action: Action
    means: str
    """What happened, in words."""
    cure: str
    """What the operator can do, one sentence."""


NO_CONNECTION: Final = Refusal(
    ("08",),
    ErrorClass.CLUSTER_AWAY,
    Action.WAIT,
    "the connection to PostgreSQL was lost, or there is none",
    "Nothing is lost: it goes on by itself when the server answers again.",
)

UNKNOWN: Final = Refusal(
    (),
    ErrorClass.CONFIGURATION,
    Action.TRY_AGAIN,
    "PostgreSQL refuses what the relay asks",
    "Look the SQLSTATE up in the server's log; it is tried again by itself.",
)
"""Of an SQLSTATE that the table does not have."""

REFUSALS: Final[tuple[Refusal, ...]] = (
    NO_CONNECTION,
    Refusal(
        ("57P01", "57P02", "57P03"),
        ErrorClass.CLUSTER_AWAY,
        Action.WAIT,
        "the server stops, starts, crashed, or an administrator ended the connection",
        "Nothing is lost: it goes on by itself when the server answers again.",
    ),
    Refusal(
        ("57P05", "25P03", "25P04"),
        ErrorClass.CLUSTER_AWAY,
        Action.WAIT,
        "the server ended the connection because it idled, or its transaction took too long",
        "Set idle_session_timeout, idle_in_transaction_session_timeout and transaction_timeout to 0 for the relay's"
        " role.",
    ),
    Refusal(
        ("53300",),
        ErrorClass.CLUSTER_AWAY,
        Action.WAIT,
        "the server has no connection left",
        "Raise max_connections or the connection limit of role and database: a relay process needs two.",
    ),
    Refusal(
        ("28",),
        ErrorClass.CREDENTIALS,
        Action.WAIT,
        "the server does not let the relay's role in",
        "Correct user and password in the connection string, or pg_hba.conf; it goes on by itself.",
    ),
    Refusal(
        ("3D000", "57P04"),
        ErrorClass.CONFIGURATION,
        Action.WAIT,
        "the database is not there",
        "Correct the name of the database in the connection string, or restore it; it goes on by itself.",
    ),
    Refusal(
        ("25006",),
        ErrorClass.CLUSTER_AWAY,
        Action.CONNECT_ANEW,
        "the server is a standby, or the relay's transactions are read-only",
        "Give the connection string all hosts and target_session_attrs=read-write, and turn"
        " default_transaction_read_only off for the relay's role.",
    ),
    Refusal(
        ("26", "42P05"),
        ErrorClass.CONFIGURATION,
        Action.CONNECT_ANEW,
        "a prepared statement belongs to another server connection: a pooler stands between",
        "Let the relay reach the server directly, or raise PgBouncer's max_prepared_statements above 0.",
    ),
    Refusal(
        ("0A000",),
        ErrorClass.CONFIGURATION,
        Action.CONNECT_ANEW,
        "the schema changed under a statement that the connection had planned",
        "Nothing to do if it was upgraded just now; else run pg-tide upgrade.",
    ),
    Refusal(
        ("42501",),
        ErrorClass.CREDENTIALS,
        Action.TRY_AGAIN,
        "the relay's role lacks a right",
        "Give it the relay's rights with tide.role_grant('relay', ...); it goes on by itself.",
    ),
    Refusal(
        ("42", "3F"),
        ErrorClass.CONFIGURATION,
        Action.TRY_AGAIN,
        "the schema tide, or a table in it, is missing or is not what this release expects",
        "Run pg-tide upgrade, or restore what was dropped; it goes on by itself.",
    ),
    Refusal(
        ("55P03",),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "another session holds a lock that the relay needs",
        "End the transaction that holds it: pg_locks and pg_stat_activity show which; it goes on by itself.",
    ),
    Refusal(
        ("55",),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "the server is in no state to do it now",
        "Nothing to do unless it stays; then the server's log says more.",
    ),
    Refusal(
        ("40",),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "a transaction met another one: a deadlock or a serialization failure",
        "Nothing to do: the relay's transactions are tried again.",
    ),
    Refusal(
        ("57014",),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "a statement was cancelled: statement_timeout ran out, or somebody asked for it",
        "Set statement_timeout to 0, or longer, for the relay's role.",
    ),
    Refusal(
        ("57", "58", "XX"),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "the server failed inside: its files, its memory or a defect",
        "See the server's log; XX001 and XX002 mean damaged data, a case for the backup.",
    ),
    Refusal(
        ("53100",),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "the server's disk is full",
        "Free space on it; if messages fill it, tide.holders() says who holds them; it goes on by itself.",
    ),
    Refusal(
        ("53",),
        ErrorClass.CLUSTER_AWAY,
        Action.TRY_AGAIN,
        "the server is short of memory, or a limit such as temp_file_limit is reached",
        "Give the server memory, or raise the limit; it goes on by itself.",
    ),
    Refusal(
        ("25",),
        ErrorClass.CLUSTER_AWAY,
        Action.CONNECT_ANEW,
        "the connection was left in another transaction's state",
        "Nothing to do: it is tried again on a new connection.",
    ),
    Refusal(
        ("TD",),
        ErrorClass.CONFIGURATION,
        Action.TRY_AGAIN,
        "the schema refuses it",
        "See the table of SQLSTATEs in docs/errors.md; it is tried again by itself.",
    ),
)

_BY_STATE: Final[dict[str, Refusal]] = {state: refusal for refusal in REFUSALS for state in refusal.states}


def classify_postgres(error: psycopg.Error) -> Refusal:
    """What an error means: by its SQLSTATE, else by the class of it."""
    state = error.sqlstate
    if state is None:  # libpq's or the driver's own
        return NO_CONNECTION if isinstance(error, psycopg.OperationalError) else UNKNOWN
    found = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or UNKNOWN
    hint = error.diag.message_hint
    return found._replace(cure=hint) if hint and state.startswith("TD") else found


def is_outage(error: BaseException | None) -> bool:
    """Whether the server or the way to it failed, rather than one statement on one object."""
    return isinstance(error, psycopg.Error) and classify_postgres(error).action is Action.WAIT


def ends_connection(error: psycopg.Error) -> bool:
    """Whether what follows had better begin on a new connection."""
    return classify_postgres(error).action is not Action.TRY_AGAIN
