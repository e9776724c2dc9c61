"""References to the relay's environment."""

from typing import Any

import pytest

from pg_tide_relay.config.placeholders import UnresolvedVariable, referring_paths, resolve
from pg_tide_relay.config.problems import ConfigError


def unresolved(config: dict[str, Any], environ: dict[str, str], *allowed: str) -> list[UnresolvedVariable]:
    with pytest.raises(ConfigError) as caught:
        resolve(config, environ, allowed or ("KAFKA_*",))
    found = list(caught.value.problems)
    assert all(isinstance(problem, UnresolvedVariable) for problem in found)
    return [problem for problem in found if isinstance(problem, UnresolvedVariable)]


def test_every_reference_in_every_string_is_replaced() -> None:
    """Alone, as a part, twice, in lists and nested objects; other values stay what they are."""
    config = {
        "a": "${env:KAFKA_A}",
        "b": "x${env:KAFKA_A}y${env:KAFKA_B}${env:KAFKA_A}",
        "c": [1, True, None, 1.5, "${env:KAFKA_B}", {"d": "${env:KAFKA_A}"}],
        "${env:KAFKA_A}": "{op} $ {env:KAFKA_A}",
    }
    assert resolve(config, {"KAFKA_A": "1", "KAFKA_B": "ü"}, ["KAFKA_*"]) == {
        "a": "1",
        "b": "x1yü1",
        "c": [1, True, None, 1.5, "ü", {"d": "1"}],
        "${env:KAFKA_A}": "{op} $ {env:KAFKA_A}",
    }


def test_a_value_is_not_searched_again() -> None:
    """A variable can't smuggle in another one."""
    environ = {"KAFKA_A": "${env:KAFKA_B}\\1", "KAFKA_B": "secret"}
    assert resolve({"a": "${env:KAFKA_A}"}, environ, ["KAFKA_*"]) == {"a": "${env:KAFKA_B}\\1"}


def test_an_unset_variable_is_an_error_with_its_cure() -> None:
    """It never becomes an empty string."""
    (problem,) = unresolved({"headers": {"a.b": ["${env:KAFKA_A}"]}}, {})
    assert (problem.name, problem.path, problem.reason) == ("KAFKA_A", 'headers["a.b"][0]', "unset")
    assert problem.message == "the environment variable KAFKA_A is not set where the relay runs"
    assert problem.hint == "set KAFKA_A in the relay's environment and start the relay again"


def test_a_variable_that_is_not_allowed_is_refused_whether_set_or_not() -> None:
    """Who configures a pipeline can't find out what else the relay's environment has."""
    found = [unresolved({"topic": "${env:PGPASSWORD}"}, environ) for environ in ({}, {"PGPASSWORD": "hush"})]
    assert found[0] == found[1]
    ((problem,), _) = found
    assert (problem.path, problem.reason) == ("topic", "not allowed")
    assert "--allow-env PGPASSWORD" in str(problem)
    assert "hush" not in str(problem)


def test_names_are_allowed_by_pattern_and_case_matters() -> None:
    """`KAFKA_*` allows neither `kafka_a` nor `MY_KAFKA_A`; a name alone allows just that name."""
    environ = {"KAFKA_A": "1", "kafka_a": "2", "MY_KAFKA_A": "3", "HOME": "4"}
    config = {name: f"${{env:{name}}}" for name in environ}
    refused = unresolved(config, environ, "KAFKA_*", "HOME")
    assert [problem.name for problem in refused] == ["kafka_a", "MY_KAFKA_A"]


def test_the_documented_names_are_allowed_by_default() -> None:
    """Kafka, Confluent, schema registry and the product's own."""
    environ = dict.fromkeys(["KAFKA_BROKERS", "CONFLUENT_API_KEY", "SCHEMA_REGISTRY_URL", "TIDE_STAGE"], "x")
    assert resolve({name: f"${{env:{name}}}" for name in environ}, environ) == environ


def test_all_unresolved_variables_are_told_at_once() -> None:
    """One problem for each place and name."""
    config = {"a": "${env:KAFKA_A}${env:KAFKA_A}${env:HOME}", "b": "${env:KAFKA_A}"}
    found = [(problem.path, problem.name, problem.reason) for problem in unresolved(config, {})]
    assert found == [("a", "KAFKA_A", "unset"), ("a", "HOME", "not allowed"), ("b", "KAFKA_A", "unset")]


def test_bytes_that_are_no_text_are_refused() -> None:
    """What is not UTF-8 in the environment can't be sent anywhere as text."""
    (problem,) = unresolved({"a": "${env:KAFKA_A}"}, {"KAFKA_A": b"\xff".decode("utf-8", "surrogateescape")})
    assert problem.reason == "not text"


def test_paths_that_refer_to_variables_are_known() -> None:
    """Each with the names it uses."""
    config = {"a": "${env:X}${env:Y}", "b": {"c d": ["", "${env:X}"]}, "e": "${env:}", "f": 1}
    assert referring_paths(config) == {"a": ("X", "Y"), 'b["c d"][1]': ("X",)}
