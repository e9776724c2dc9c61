"""A stored configuration becomes a ``PipelineConfig``."""

from collections.abc import Mapping, Sequence
from typing import Any

from pg_tide_relay.config.check import check
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.placeholders import ALLOWED_BY_DEFAULT, referring_paths, resolve
from pg_tide_relay.config.problems import ConfigError, Problem
from pg_tide_relay.config.rules import pipeline_rules


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
    resolved = resolve(stored, environ, allowed)
    _raise_errors(check(pipeline_rules(), resolved, referring_paths(stored)))
    return PipelineConfig.model_validate(resolved)


def _raise_errors(problems: list[Problem]) -> None:
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise ConfigError(errors)
