"""What was published, as the database has it: what the judges' answers are compared with."""

from typing import Any

from relay_kit import Tide


def published(tide: Tide, outbox: str) -> list[Any]:
    """All messages of an outbox in the order of their ids; `us` is created_at in microseconds since 1970."""
    return tide.rows(
        "select m.*, (extract(epoch from m.created_at) * 1000000)::bigint as us"
        " from tide.message m join tide.outbox o on o.outbox_id = m.outbox_id where o.name = %s order by m.id",
        outbox,
    )
