"""The table that a run of the judges ends with, and where it has its versions from."""

import pytest

from judges.table import Verdict, table
from judges.tools import pinned


def verdict(reader: str, cases: int, fault: str = "", test: str = "test_a") -> Verdict:
    return Verdict(reader=reader, version="1", wire_format="native", test=test, cases=cases, fault=fault)


def test_a_reader_agrees_only_when_all_its_tests_do() -> None:
    """Cases are added up, and a fault is told with the tests that found it."""
    found = [
        verdict("one", 1000),
        verdict("one", 5),
        verdict("another reader", 3),
        verdict("another reader", 0, "DISAGREES", "test_b"),
        verdict("another reader", 0, "not run", "test_c"),
    ]
    assert table(found).splitlines() == [
        "reader          version  format  cases  verdict",
        "one             1        native   1005  agrees",
        "another reader  1        native      3  DISAGREES: test_b; not run: test_c",
    ]


def test_versions_are_those_of_the_files_that_pin_them() -> None:
    """A jar, a package of Node and one of Python; nothing else has a version."""
    assert pinned("cloudevents-kafka") == "4.0.1"
    assert pinned("kafkajs") == "2.2.4"
    assert pinned("apache-flink") == "2.3.0"
    with pytest.raises(KeyError, match="leftpad"):
        pinned("leftpad")
