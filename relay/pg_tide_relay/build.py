"""From a stored pipeline to a running one: resolve, validate, compile; or say why it can't run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypedDict, cast

from structlog.stdlib import BoundLogger

from pg_tide_relay.checks import Ahead, ahead_of
from pg_tide_relay.config.dlq_models import DlqConfig
from pg_tide_relay.config.load import load_pipeline_config
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT
from pg_tide_relay.config.problems import ConfigError
from pg_tide_relay.delivery import Delivery
from pg_tide_relay.delivery_limits import DeliveryLimits
from pg_tide_relay.delivery_state import Log
from pg_tide_relay.encode import Shape, compile_shape
from pg_tide_relay.errors import ConfigurationError, ErrorClass
from pg_tide_relay.exactly_once import ExactlyOnceDelivery, Keep
from pg_tide_relay.exactly_once_redrive import ExactlyOnceRedrive
from pg_tide_relay.pace import pace_of
from pg_tide_relay.pipeline import Pipeline
from pg_tide_relay.pipeline_parts import Drivers, PipelineSpec, Recipe
from pg_tide_relay.replay_delivery import delivery_of
from pg_tide_relay.report import PipelineReport
from pg_tide_relay.schemas import Schemas
from pg_tide_relay.shards import compile_mine
from pg_tide_relay.wire_types import Origin

_IN_FLIGHT_MIN: Final = 200
"""Messages in flight, however small the batches: eight batches of one message were 25 a second on three brokers."""

_OF_REDRIVES: Final = DlqConfig(on_error="park_key", max_parked_keys=100_000, max_in_a_row=1_000_000)
"""A letter that fails again holds up the rest of its key, and nothing stops: its pages are short."""


class PipelineBuilder:
    """Builds pipelines in the environment of this process."""

    def __init__(
        self,
        *,
        drivers: Drivers,
        environ: Mapping[str, str],
        allow_env: Sequence[str],
        log: BoundLogger,
    ) -> None:
        """``allow_env`` widens what ${env:NAME} may name."""
        self._drivers = drivers
        self._environ = environ
        self._allowed = (*ALLOWED_BY_DEFAULT, *allow_env)
        self._log = log

    def build(self, spec: PipelineSpec) -> Pipeline | None:
        """The pipeline; None when its configuration can't be used here, which is then in its state."""
        told = {"pipeline": spec.name, "outbox": spec.outbox, "consumer_group": spec.consumer_group}
        if spec.shards > 1:
            told["shard"] = f"{spec.shard} of {spec.shards}"
        log = cast(Log, self._log.bind(**told))
        try:
            config = load_pipeline_config(spec.config, self._environ, self._allowed)
            schemas = Schemas()
            origin = Origin(spec.outbox, spec.database)
            shape = compile_shape(config, origin, schemas)
            mine = compile_mine(config, origin, spec.shard, spec.shards)
            ahead = ahead_of(config, spec.outbox, schemas)
        except (ConfigError, ConfigurationError) as error:
            log.warning("pipeline_configuration", cause=str(error))
            self._drivers.reporter.report(spec, _refusal(error))
            return None
        clock = self._drivers.clock
        # One bucket for messages and redriven ones, and for whatever deliveries follow each other.
        limits = DeliveryLimits(
            batches=max(DeliveryLimits.batches, _IN_FLIGHT_MIN // config.batch_size),
            pace=pace_of(config.rate_limit, clock, spec.shards),
        )
        common = _Common(pipeline=spec.name, shape=shape, log=log, ahead=ahead, limits=limits, clock=clock)
        of_redrives = config.model_copy(update={"dlq": _OF_REDRIVES})
        exactly_once = config.delivery == "exactly_once"
        recipe = Recipe(
            new_delivery=partial(_exactly_once, config, spec, common)
            if exactly_once
            else lambda _: Delivery(config, **common),
            new_redrive=partial(_exactly_once_redrive, of_redrives, spec, common)
            if exactly_once
            else partial(Delivery, of_redrives, **common),
            exactly_once=exactly_once,
            mine=mine,
            new_replay=partial(
                delivery_of,
                config=config,
                origin=origin,
                pipeline=spec.name,
                limits=limits,
                clock=clock,
                log=log,
                transactional_id=transactional_id(spec),
            ),
            batch_size=config.batch_size,
            request_timeout_ms=config.request_timeout_ms,
            # Whoever follows fences this relay: what it has sent last is refused, and need not be waited for.
            takeover_ms=0 if exactly_once else config.request_timeout_ms,
            retry=config.retry,
        )
        return Pipeline(spec=spec, recipe=recipe, drivers=self._drivers, log=log)


class _Common(TypedDict):
    pipeline: str
    shape: Shape
    log: Log
    ahead: Ahead
    limits: DeliveryLimits
    clock: Callable[[], float]


def _exactly_once(config: PipelineConfig, spec: PipelineSpec, common: _Common, keep: Keep) -> Delivery:
    return ExactlyOnceDelivery(config, **common, transactional_id=transactional_id(spec), keep=keep)


def _exactly_once_redrive(config: PipelineConfig, spec: PipelineSpec, common: _Common) -> Delivery:
    return ExactlyOnceRedrive(config, **common, transactional_id=f"{transactional_id(spec)}-redrive")


def transactional_id(spec: PipelineSpec) -> str:
    """The cursor's, whoever drives it: never used for another group, not even for one of the same name."""
    return f"pg-tide-{spec.group_uid}-{spec.shard}"


def _refusal(error: ConfigError | ConfigurationError) -> PipelineReport:
    return PipelineReport(
        state="error",
        error_class=ErrorClass.CONFIGURATION,
        error_code="TD020",
        error=str(error),
        cure="Correct it with tide.relay_set_outbox, or set the variables it names in the relay's environment "
        "and restart the relay.",
    )
