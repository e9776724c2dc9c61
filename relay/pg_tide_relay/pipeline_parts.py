"""What a pipeline is made of: what is stored of it, what all of a process share, what its configuration makes."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from uuid import UUID

from pg_tide_relay.config.pace_models import RetryConfig
from pg_tide_relay.cursor import Unit
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.exactly_once import Keep
from pg_tide_relay.postgres import Worker
from pg_tide_relay.replay_store import ReplayOrder
from pg_tide_relay.report import Reporter
from pg_tide_relay.shards import Mine


class Phase(Enum):
    """Where a pipeline is in its life in this process."""

    STANDING_BY = auto()  # the cursor is somebody else's, or not read yet
    AWAITING = auto()  # it is ours; what was handed over under an earlier memory is not answered yet
    RUNNING = auto()
    LEAVING = auto()  # told to stop: deliver what was handed over, settle, sign off
    LEFT = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineSpec:
    """A pipeline as it is stored, and one of its shards."""

    pipeline_id: int
    name: str
    version: int
    enabled: bool
    config: dict[str, Any]
    database: str
    outbox_id: int
    outbox: str
    group_id: int
    consumer_group: str
    group_uid: UUID
    shard: int
    shards: int  # that are in force; the configuration may want another number
    division: int  # counts the ways in which messages were divided among shards

    @property
    def unit(self) -> Unit:
        """What it is known by in this process."""
        return Unit(self.pipeline_id, self.shard)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drivers:
    """What all pipelines of a process share."""

    reader: Worker
    writer: Worker
    reporter: Reporter
    clock: Callable[[], float]
    token: UUID
    relay_id: str
    lease_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What is made of a pipeline's configuration."""

    new_delivery: Callable[[Keep], Delivery]
    new_redrive: Callable[[], Delivery]  # of dead letters
    mine: Mine  # picks this shard's messages
    new_replay: Callable[[ReplayOrder], Delivery]  # raises ConfigurationError
    batch_size: int
    request_timeout_ms: int  # how long its last requests may take
    takeover_ms: int  # how long a successor waits for them, after the lease
    retry: RetryConfig
    exactly_once: bool = False
