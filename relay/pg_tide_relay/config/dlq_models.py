"""The keys that say what becomes of a message that can't be delivered."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.marks import About
from pg_tide_relay.config.relations import Condition, Relation

_PARKED_KEYS: Final = 10_000
_IN_A_ROW: Final = 1000

OnError = Literal["continue", "park_key", "stop"]


def _without(value: OnError, key: str, default: int) -> Relation:
    """``key`` says something, and ``on_error`` is ``value``."""
    return Relation(
        at=key,
        when=(
            Condition(test="none_of", keys=(key,), values=(default,)),
            Condition(test="one_of", keys=("on_error",), values=(value,)),
        ),
        severity="error",
        message=f'has no effect where on_error is "{value}"',
    )


class DlqConfig(ConfigModel):
    """What becomes of a message that can't be delivered."""

    on_error: Annotated[
        OnError,
        About(reason="one bad message must not stop all others", reaches="`tide.dead_letters`"),
    ] = Field(
        "continue",
        description="What happens when a message itself can't be delivered (an outage never counts): `continue`"
        " keeps it as a dead letter and goes on; `park_key` keeps it, and later messages of its key wait behind it;"
        " `stop` stops the pipeline at it.",
    )
    max_parked_keys: Annotated[
        int,
        Field(ge=1, le=100_000),
        About(unit="keys", reason="a fault of all messages should not park them all", reaches="memory"),
    ] = Field(
        _PARKED_KEYS,
        description="Most keys that may wait behind a dead letter at a time; at the next one the pipeline stops, and"
        " drops nothing.",
    )
    max_in_a_row: Annotated[
        int,
        Field(ge=1, le=1_000_000),
        About(unit="messages", reason="then it is hardly the messages' fault", reaches="`tide.dead_letters`"),
    ] = Field(
        _IN_A_ROW,
        description="Most messages that become dead letters one right after the other; at the next one the pipeline"
        " stops, and drops nothing.",
    )
    retention_days: Annotated[
        int,
        Field(ge=1, le=3650),
        About(unit="days", reason="time to look what happened", reaches="`tide.dlq_retention_run`"),
    ] = Field(
        14,
        description="How long dead letters are kept after they were redriven or discarded; those that wait for a"
        " decision are kept for ever.",
    )

    NOT_YET: ClassVar[tuple[str, ...]] = ("on_missing_topic", "topic")
    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        _without("continue", "max_parked_keys", _PARKED_KEYS),
        _without("stop", "max_parked_keys", _PARKED_KEYS),
        _without("stop", "max_in_a_row", _IN_A_ROW),
    )
