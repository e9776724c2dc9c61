"""A stored configuration becomes a ``PipelineConfig``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pg_tide_relay.config.check import check
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT, referring_paths, resolve
from pg_tide_relay.config.problems import ConfigError, Problem
from pg_tide_relay.config.rules import pipeline_rules

RECORD_KEYS: Final = frozenset(
    {
        "sink_type",
        "topic",
        "message_key",
        "headers",
        "wire_format",
        "wire_config",
        "serialization",
        "schema_registry",
        "transform",
        "routing",
    }
)
"""The keys that a record depends on. All others say how Kafka is reached, and how fast."""

_NO_BROKERS: Final = "nowhere:9092"
"""Stands in for a required key, where no broker is connected to."""


def validate_stored(stored: Any) -> list[Problem]:
    """Errors and warnings of a configuration as it is stored: what ``tide.relay_validate`` says."""
    return check(pipeline_rules(), stored)


def load_pipeline_config(
    stored: Mapping[str, Any],
    environ: Mapping[str, str],
    allowed: Sequence[str] = ALLOWED_BY_DEFAULT,
) -> PipelineConfig:
    """Check, resolve and check again; raises ``ConfigError`` with every problem of the first bad step.

    ``allowed``: shell patterns of the environment variables that the configuration may refer to.
    """
    _raise_errors(validate_stored(stored))
    return _resolved(stored, environ, allowed)


def load_record_config(
    stored: Mapping[str, Any],
    environ: Mapping[str, str],
    allowed: Sequence[str] = ALLOWED_BY_DEFAULT,
) -> PipelineConfig:
    """The same for who makes records and sends none: no secret of the relay's Kafka is needed.

    All keys are checked as they are stored; those that no record depends on are then left out, so that their
    references are never looked up.
    """
    _raise_errors(validate_stored(stored))
    kept = {key: value for key, value in stored.items() if key in RECORD_KEYS}
    return _resolved(kept | {"brokers": _NO_BROKERS}, environ, allowed)


def _resolved(
    stored: Mapping[str, Any], environ: Mapping[str, str], allowed: Sequence[str]
) -> PipelineConfig:
    resolved = resolve(stored, environ, allowed)
    _raise_errors(check(pipeline_rules(), resolved, referring_paths(stored)))
    return PipelineConfig.model_validate(resolved)


def _raise_errors(problems: list[Problem]) -> None:
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise ConfigError(errors)
