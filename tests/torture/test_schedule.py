"""The random part of a slice: all of it follows from the seed; and the report of what slices found."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from torture import report
from torture.kinds import all_kinds
from torture.run import PLACES, Injected, Result, Versions, attributed
from torture.schedule import ALONE, Slice, schedule

KINDS = {"kill": "relay", "freeze": "relay", "crash": "postgres", "cut": "network", "step": ALONE}


def test_a_seed_gives_the_same_faults_each_time_and_another_seed_others() -> None:
    once = schedule(Slice.parse("3", "2/5"), 60, KINDS)
    assert once == schedule(Slice(seed=3, number=2, of=5), 60, KINDS)
    assert once != schedule(Slice.parse("3", "1/5"), 60, KINDS)
    assert once != schedule(Slice.parse("4", "2/5"), 60, KINDS)


def test_every_kind_has_its_turn_and_faults_of_one_step_hit_different_places() -> None:
    """Sixty faults of five kinds are twelve of each; some overlap, the step of a clock never."""
    steps = schedule(Slice(seed=1), 60, KINDS)
    kinds = [one.kind for step in steps for one in step]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 12)
    pairs = [{KINDS[one.kind] for one in step} for step in steps if len(step) == 2]
    assert len(pairs) > 5
    assert all(len(places) == 2 and ALONE not in places for places in pairs)


def test_the_shares_of_slices_are_the_whole() -> None:
    """And there is no slice beyond the last."""
    assert sum(Slice(seed=1, number=n, of=7).share(200) for n in range(1, 8)) == 200
    with pytest.raises(ValueError, match="8/7"):
        Slice.parse("1", "8/7")


def test_every_kind_of_fault_has_a_place_in_the_order_of_healing() -> None:
    kinds = all_kinds()
    assert len(kinds) >= 30
    assert {kind.place for kind in kinds.values()} == set(PLACES)


def test_a_duplicate_is_put_down_to_the_fault_that_began_last_before_it() -> None:
    faults = [Injected(kind="b", step=1, begun_ms=200), Injected(kind="a", step=0, begun_ms=100)]
    early, found = attributed([50, 100, 150, 199, 200, 900], faults)
    assert early == 1
    assert [(one.kind, one.duplicates) for one in found] == [("a", 3), ("b", 2)]


def test_versions_tell_what_is_skipped_and_what_is_missing_at_the_end() -> None:
    """The second witness: the business table, which knows nothing of outboxes."""
    versions = Versions()
    for entity, version in [(1, 1), (2, 1), (1, 2), (1, 1), (1, 2), (2, 3)]:
        versions.take(entity, version)
    assert versions.wrong({1: 2, 2: 3, 3: 0}) == ["entity 2: 3 behind 1"]
    assert versions.wrong({1: 3, 2: 3})[1:] == ["entity 1: 2 instead of 3"]


def result(seed: int, lost: int = 0) -> Result:
    return Result(
        seed=seed,
        number=1,
        of=2,
        faults=[Injected(kind="kill", step=n, begun_ms=n, recovered_s=n, duplicates=n) for n in (1, 2, 9)],
        seconds=1800.0,
        messages=1000,
        records=1012,
        verdicts={"steady": {"lost": lost, "reordered": 0}},
    )


def test_the_report_adds_up_what_slices_have_written(tmp_path: Path) -> None:
    """Written between the marks of a page, and again in their place."""
    for one in (result(1), result(5)):
        one.write(tmp_path)
    text = report.table(report.results(tmp_path))
    assert "6 faults in 2 slices, seeds 1, 5, 1.0 hours" in text
    assert "2,000 messages, 2,024 records" in text
    assert "**0** lost, **0** reordered" in text
    assert "| kill | 6 | 2 / 9 | 2.0 / 9.0 |" in text
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- torture: begin -->\n<!-- torture: end -->\nb\n", encoding="utf-8")
    for _ in range(2):
        report.write(page, text)
    assert page.read_text(encoding="utf-8") == f"a\n<!-- torture: begin -->\n{text}<!-- torture: end -->\nb\n"


def test_a_slice_that_lost_something_is_not_clean(tmp_path: Path) -> None:
    """Neither in itself nor in the report."""
    assert result(1).is_clean
    assert not result(1, lost=2).is_clean
    (tmp_path / "seed-1.json").write_text(json.dumps(asdict(result(1, lost=2))), encoding="utf-8")
    assert "**2** lost" in report.table(report.results(tmp_path))
