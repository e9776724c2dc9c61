"""Every illegal value and every relation: what is said of it, and that pydantic agrees.

The same table is held against the database in tests/database/test_config_validate.py.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from pg_tide_relay.config.base import ConfigModel
from pg_tide_relay.config.check import check
from pg_tide_relay.config.load import validate_stored
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.config.rules import pipeline_rules, rules_of
from unit.config.configurations import MadeUp, following, table


@pytest.mark.parametrize(("config", "problems"), [pytest.param(c, p, id=n) for n, c, p in table()])
def test_a_configuration_has_exactly_these_problems(config: Any, problems: list[list[str]]) -> None:
    """All problems are told at once, each with its path, in a fixed order."""
    found = [[problem.path, problem.severity, problem.message] for problem in validate_stored(config)]
    assert found == problems


def test_every_key_has_a_case_that_refuses_it() -> None:
    """No key of the configuration is without an illegal value in the table."""
    refused = {path.split(".")[0] for _, _, problems in table() for path, severity, _ in problems}
    assert set(PipelineConfig.model_fields) <= refused


@settings(deadline=None, max_examples=100)
@given(following(pipeline_rules()))
def test_the_pipeline_model_and_its_rules_agree(config: Any) -> None:
    """The rule document generated from the pipeline's model says yes where the model does, else no."""
    assert_agreement(PipelineConfig, config)


@settings(deadline=None, max_examples=100)
@given(following(rules_of(MadeUp)))
def test_a_model_of_every_kind_and_its_rules_agree(config: Any) -> None:
    """So do nested objects, lists, maps, unions, ranges, patterns and relations of any other model."""
    assert_agreement(MadeUp, config)


@pytest.mark.parametrize("config", [pytest.param(c, id=n) for n, c, _ in table()])
def test_the_pipeline_model_and_its_rules_agree_on_the_table(config: Any) -> None:
    """Also for each illegal value by name."""
    assert_agreement(PipelineConfig, config)


def assert_agreement(model: type[ConfigModel], config: Any) -> None:
    """pydantic's verdict on a configuration without unresolved references is that of the rules."""
    problems = check(rules_of(model), config, resolved={})
    if any(problem.severity == "error" for problem in problems):
        with pytest.raises(ValidationError):
            model.model_validate(config)
    else:
        model.model_validate(config)
