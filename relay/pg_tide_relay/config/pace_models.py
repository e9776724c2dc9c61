"""The keys that say how often a pipeline tries again, and how fast it may be."""

from typing import Annotated, ClassVar

from pydantic import Field

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.marks import About
from pg_tide_relay.config.relations import Condition, Relation


class RetryConfig(ConfigModel):
    """The pauses between two attempts at what keeps a pipeline from going on."""

    # Shorter pauses would flood logs, brokers and the database, where each attempt is written down.
    backoff_ms: Annotated[
        int,
        Field(ge=100, le=900_000),
        About(unit="ms", reason="over before anybody looks", reaches="the first pause"),
    ] = Field(
        500,
        description="The first pause; each further one is twice as long, and by chance up to half of that shorter.",
    )
    backoff_max_ms: Annotated[
        int,
        Field(ge=100, le=900_000),
        About(unit="ms", reason="how late a cure is noticed at most", reaches="all further pauses"),
    ] = Field(30_000, description="The longest pause; attempts go on without end.")

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        Relation(
            at="backoff_max_ms",
            when=(Condition(test="above", keys=("backoff_ms", "backoff_max_ms")),),
            severity="error",
            message="must not be below backoff_ms",
        ),
    )


class RateLimitConfig(ConfigModel):
    """How fast messages may be handed over."""

    max_messages_per_second: Annotated[
        Annotated[int, Field(ge=1, le=10_000_000)] | None,
        About(
            unit="messages/s",
            reason="as fast as the cluster takes them",
            reaches="the hand-over to the client",
        ),
    ] = Field(
        None,
        description="Most messages a second that the pipeline sends, resent ones and tombstones included.",
    )
    burst_size: Annotated[
        Annotated[int, Field(ge=1, le=10_000_000)] | None,
        About(unit="messages", reason="a second's worth", reaches="the hand-over to the client"),
    ] = Field(
        None,
        description="Most messages that may go at once after a pause. The relay looks every few milliseconds: below a"
        " hundredth of the rate the rate is not reached.",
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        Relation(
            at="burst_size",
            when=(
                Condition(test="set", keys=("burst_size",)),
                Condition(test="unset", keys=("max_messages_per_second",)),
            ),
            severity="error",
            message="has no effect without max_messages_per_second",
        ),
    )
