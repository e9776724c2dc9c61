"""The keys that say how sure a pipeline's delivery is, and how its transactions are cut."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.marks import About, Matches
from pg_tide_relay.config.relations import Condition, Relation

Delivery = Literal["at_least_once", "exactly_once"]

_CURSOR_TOPIC: Final = "pg_tide_cursors"
_COMMIT_INTERVAL_MS: Final = 100
_TIMEOUT_MS: Final = 60_000


class TransactionsConfig(ConfigModel):
    """The transactions in Kafka of a pipeline whose `delivery` is `exactly_once`."""

    cursor_topic: Annotated[
        str,
        Matches(
            expects='a topic name: 1 to 249 letters, digits, ".", "_" and "-"',
            pattern="[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}",
        ),
        About(reason="one topic for all pipelines of a cluster", reaches="a record in every transaction"),
    ] = Field(
        _CURSOR_TOPIC,
        description="Topic that keeps how far pipelines have come, one small record in each transaction. The relay"
        " creates it with one partition and `cleanup.policy=compact`; one that is there must have both.",
    )
    commit_interval_ms: Annotated[
        int,
        Field(ge=1, le=60_000),
        About(unit="ms", reason="hardly felt, and a commit costs milliseconds", reaches="latency"),
    ] = Field(
        _COMMIT_INTERVAL_MS,
        description="How long a transaction stays open while there are more messages to come; without more it ends at"
        " once. Consumers see its records when it ends.",
    )
    timeout_ms: Annotated[
        int,
        Field(ge=1_000, le=900_000),
        About(unit="ms", reason="Kafka's own default", reaches="transaction.timeout.ms"),
    ] = Field(
        _TIMEOUT_MS,
        description="How long a transaction may stay open before the cluster ends it: so long a relay that died may"
        " hold back the consumers of its topics, if no other takes over. At most the brokers'"
        " `transaction.max.timeout.ms`.",
    )

    RELATIONS: ClassVar[tuple[Relation, ...]] = (
        Relation(
            at="commit_interval_ms",
            when=(Condition(test="above", keys=("commit_interval_ms", "timeout_ms")),),
            severity="error",
            message="must not be above timeout_ms",
        ),
    )


def _without(key: str, default: object) -> Relation:
    return Relation(
        at=f"transactions.{key}",
        when=(
            Condition(test="none_of", keys=(f"transactions.{key}",), values=(default,)),
            Condition(test="none_of", keys=("delivery",), values=("exactly_once",)),
        ),
        severity="error",
        message='has no effect unless delivery is "exactly_once"',
    )


RELATIONS_OF_DELIVERY: Final[tuple[Relation, ...]] = (
    Relation(
        at="acks",
        when=(
            Condition(test="one_of", keys=("acks",), values=("0", "1")),
            Condition(test="one_of", keys=("delivery",), values=("exactly_once",)),
        ),
        severity="error",
        message='delivery "exactly_once" needs acks "all"',
    ),
    _without("cursor_topic", _CURSOR_TOPIC),
    _without("commit_interval_ms", _COMMIT_INTERVAL_MS),
    _without("timeout_ms", _TIMEOUT_MS),
)
"""Of the pipeline's configuration as a whole."""
