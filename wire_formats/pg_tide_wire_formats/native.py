"""The native format: a record's value is the payload's text exactly as PostgreSQL renders the jsonb."""

JSON_NULL = b"null"


def native_value(payload: bytes | None) -> bytes:
    """The value of a record; never parsed, so numbers and key order stay as they are.

    A payload of SQL NULL becomes JSON's null, four bytes. A record without a value would be a tombstone,
    which deletes the key on a compacted topic: nothing a missing payload may do on its own.
    """
    return JSON_NULL if payload is None else payload


def native_value_or_tombstone(op: bytes, payload: bytes | None) -> bytes | None:
    """The same, where a delete without payload is wanted as a tombstone: a record without value."""
    return None if payload is None and op == b"delete" else native_value(payload)
