"""Why a pipeline does not begin where its cursor stands, and the one statement that cures it."""

from pg_tide_relay.delivery_state import Log
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.pipeline_parts import PipelineSpec
from pg_tide_relay.report import PipelineReport


def cursor_in_doubt(spec: PipelineSpec, doubt: str) -> PipelineReport:
    """The cursor's row names another cluster's transactions."""
    return PipelineReport(
        state="error",
        error_class=ErrorClass.CONFIGURATION,
        error_code="TD032",
        error=f"the cursor of group {spec.consumer_group!r} on outbox {spec.outbox!r} can't be trusted: {doubt}",
        cure=f"Repair it; messages may be sent again: {_rebase(spec)}",
    )


def older_than_kafka(spec: PipelineSpec) -> PipelineReport:
    """Kafka holds a position that the cursor's row has never known."""
    return PipelineReport(
        state="error",
        error_class=ErrorClass.CONFIGURATION,
        error_code="TD033",
        error=f"the database is older than Kafka: group {spec.consumer_group!r} on outbox {spec.outbox!r} has delivered"
        " what this database does not know of; it was set back, by a restore or a fail-over to a lagging standby",
        cure="Messages since then may be missing here, and what is sent again comes twice. Compare with pg-tide verify,"
        f" then choose from which id on to send again (from_id): {_rebase(spec)}",
    )


def _rebase(spec: PipelineSpec) -> str:
    return f"select tide.group_rebase('{spec.consumer_group}', '{spec.outbox}');"


def tell_of_promotion(log: Log, before: int | None, now: int) -> None:
    """The cursor was read on another timeline than before, if it was: no refusal, but nobody should miss it."""
    if before not in (None, now):
        log.warning(
            "timeline_changed",
            before=before,
            now=now,
            cause="another server was promoted; if it was behind, messages may have been sent that are lost "
            "there, and their ids are used again",
        )
