"""The keys that say how often a pipeline tries again."""

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
