"""How a replay's records differ from the pipeline's: a header of their own, further headers, another topic."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from pg_tide_relay.checks import ahead_of
from pg_tide_relay.config.dlq_models import DlqConfig
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.delivery_limits import DeliveryLimits
from pg_tide_relay.delivery_state import Log
from pg_tide_relay.encode import Record, Shape, compile_shape
from pg_tide_relay.exactly_once_replay import ExactlyOnceReplay
from pg_tide_relay.message import Row
from pg_tide_relay.pace import AllOf, Pace, TokenBucket
from pg_tide_relay.replay_store import ReplayOrder
from pg_tide_relay.schemas import Schemas
from pg_tide_relay.wire_types import Origin
from pg_tide_wire_formats.headers import REPLAY

_OF_REPLAYS: Final = DlqConfig(on_error="continue", max_in_a_row=1_000_000)
"""A copy that can't be delivered is counted, and stops nothing: its message was delivered once."""

_BURSTS_PER_S: Final = 10
"""A replay's own limit lets a tenth of a second's worth go at once: it is there to spare others."""


def config_of(config: PipelineConfig, to_topic: str | None) -> PipelineConfig:
    """The pipeline's, with every record to ``to_topic``; routing rules still say keys and headers."""
    changes: dict[str, object] = {"dlq": _OF_REPLAYS}
    if to_topic is not None:
        rules = [rule.model_copy(update={"topic": to_topic}) for rule in config.routing.rules]
        changes |= {"topic": to_topic, "routing": config.routing.model_copy(update={"rules": rules})}
    return config.model_copy(update=changes)


def with_headers(shape: Shape, replay_id: int, headers: Mapping[str, str]) -> Shape:
    """Records carry the replay's number last, before it the given headers, each in the place of others of its name."""
    added: list[tuple[str, str | bytes | None]] = [
        (name, value.encode()) for name, value in headers.items() if name != REPLAY
    ]
    added.append((REPLAY, b"%d" % replay_id))
    names = {name for name, _ in added}

    def again(row: Row) -> Record | None:
        record = shape(row)
        if record is None:
            return None
        kept = [header for header in record.headers if header[0] not in names]
        return record._replace(headers=kept + added)

    return again


def delivery_of(
    order: ReplayOrder,
    *,
    config: PipelineConfig,
    origin: Origin,
    pipeline: str,
    limits: DeliveryLimits,
    clock: Callable[[], float],
    log: Log,
    transactional_id: str,
) -> Delivery:
    """What delivers a replay, exactly once where the pipeline does; raises ConfigurationError.

    ``limits`` are the pipeline's: their pace counts, too. ``transactional_id`` is that of its cursor.
    """
    config = config_of(config, order.to_topic)
    schemas = Schemas()
    shape = compile_shape(config, origin, schemas)
    per_s = order.max_messages_per_second
    paces: list[Pace] = [] if limits.pace is None else [limits.pace]
    if per_s is not None:
        paces.append(TokenBucket(per_s, max(1, per_s // _BURSTS_PER_S), clock))
    make = (
        partial(ExactlyOnceReplay, order=order, transactional_id=f"{transactional_id}-replay")
        if config.delivery == "exactly_once"
        else Delivery
    )
    return make(
        config,
        pipeline,
        with_headers(shape, order.replay_id, order.headers or {}),
        log=log,
        ahead=ahead_of(config, origin.outbox, schemas),
        limits=replace(limits, pace=AllOf(paces) if paces else None),
        clock=clock,
    )
