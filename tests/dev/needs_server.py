"""A test that needs a server, for other tests to run where there is none: collected only when it is named."""

from pg_tide_dev.postgres import PostgresServer


def test_that_needs_postgres(pg18: PostgresServer) -> None:
    """Passes wherever PostgreSQL 18 is found."""
    assert pg18.major == 18
