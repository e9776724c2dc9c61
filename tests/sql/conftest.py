"""Fixtures of the tests of the SQL surface; they live in `fix_sql`."""

from fix_sql import connect, delivered, logins, ring

__all__ = ["connect", "delivered", "logins", "ring"]
