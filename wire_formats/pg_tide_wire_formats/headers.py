"""The headers of a record: ours first, then the message's own, then the pipeline's static ones."""

from collections.abc import Callable, Mapping, Sequence

Header = tuple[str, bytes]

# The names every consumer may rely on. This is their only home.
OUTBOX = "pg_tide_outbox"
OP = "pg_tide_op"
ID = "pg_tide_id"
DEDUP_KEY = "pg_tide_dedup_key"
TS = "pg_tide_ts"
REPLAY = "pg_tide_replay"
"""Only on records of a replay: its number, as decimal digits."""

RESERVED = frozenset({OUTBOX, OP, ID, DEDUP_KEY, TS, REPLAY})

OPS = (b"insert", b"update", b"delete")

Headers = Callable[[int, bytes, bytes | None, int, Sequence[Header] | None], list[Header]]
"""(message id, op, dedup key, created_us, the message's own headers) → all headers of its record."""


def compile_headers(outbox: str, static: Mapping[str, str] | None) -> Headers:
    """Prepare the headers of one pipeline.

    A name appears once. Where two sources give the same name, the more particular one wins: a reserved name
    is always ours, a message's own header hides the pipeline's static one. ``pg_tide_dedup_key`` is left out
    when the message has none. ``pg_tide_ts`` is created_at in microseconds since the epoch, as decimal
    digits: with ``pg_tide_id`` it identifies a message also after ids were used again by a fail-over.
    """
    outbox_header: Header = (OUTBOX, outbox.encode())
    op_headers: dict[bytes, Header] = {op: (OP, op) for op in OPS}
    static_headers: list[Header] = [
        (name, value.encode()) for name, value in (static or {}).items() if name not in RESERVED
    ]

    def headers_of(
        message_id: int, op: bytes, dedup_key: bytes | None, created_us: int, own: Sequence[Header] | None
    ) -> list[Header]:
        headers = [outbox_header, op_headers[op], (ID, b"%d" % message_id)]
        if dedup_key is not None:
            headers.append((DEDUP_KEY, dedup_key))
        headers.append((TS, b"%d" % created_us))
        if own:
            headers += merge(own, static_headers)
        elif static_headers:
            headers += static_headers
        return headers

    return headers_of


def merge(own: Sequence[Header], static: Sequence[Header]) -> list[Header]:
    """The message's own headers without reserved names, then the static ones whose names it does not use."""
    kept = [header for header in own if header[0] not in RESERVED]
    taken = {name for name, _ in kept}
    return kept + [header for header in static if header[0] not in taken]
