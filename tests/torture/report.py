"""Merges the results of slices and writes the table of docs/reliability.md: `python tests/torture/report.py`."""

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "build" / "torture"
BETWEEN = re.compile(r"(<!-- torture: begin -->\n).*?(<!-- torture: end -->)", re.DOTALL)
# As the judge names them, and as the table does.
WRONGS = {
    "lost": "lost",
    "reordered": "reordered",
    "overtaken": "before a predecessor",
    "phantom": "never committed",
    "scattered": "keys on two partitions",
    "wrong": "wrong bytes",
    "acknowledged but not stored": "acknowledged, not stored",
    "wrong versions": "entities that end wrong",
}

Found = dict[str, Any]


def results(folder: Path) -> list[Found]:
    """What slices have written, by seed and part."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("seed-*.json"))]
    return sorted(found, key=lambda one: (one["seed"], one["of"], one["number"]))


def table(found: Sequence[Found]) -> str:
    """Totals in a sentence or two, then a row per kind of fault."""
    faults = [fault for one in found for fault in one["faults"]]
    wrong: Counter[str] = Counter()
    for one in found:
        for counts in one["verdicts"].values():
            wrong.update(counts)
    duplicates = sum(fault["duplicates"] for fault in faults) + sum(one["early_duplicates"] for one in found)
    seeds = sorted({one["seed"] for one in found})
    hours = sum(one["seconds"] for one in found) / 3600
    said = ", ".join(f"**{wrong[name]}** {word}" for name, word in WRONGS.items())
    lines = [
        f"{len(faults):,} faults in {len(found)} slices, seeds {', '.join(map(str, seeds))}, {hours:.1f} hours:",
        f"{sum(one['messages'] for one in found):,} messages, {sum(one['records'] for one in found):,} records,",
        f"{duplicates:,} of them duplicates.",
        "",
        fill(f"{said}.", 120),
        "",
        "| fault | times | duplicates: median / most | seconds until delivery went on: median / longest |",
        "|---|---|---|---|",
        *_rows(faults),
    ]
    return "\n".join(lines) + "\n"


def whole(found: Sequence[Found]) -> str:
    """The table of what is delivered at least once, and what there is to say of exactly once."""
    exact = [one for one in found if one.get("delivery") == "exactly_once"]
    rest = [one for one in found if one not in exact]
    text = table(rest) if rest else ""
    if not exact:
        return text
    faults = sum(len(one["faults"]) for one in exact)
    repeated = sum(counts.get("repeated", 0) for one in exact for counts in one["verdicts"].values())
    seeds = ", ".join(str(seed) for seed in sorted({one["seed"] for one in exact}))
    wrong = sum(count for one in exact for counts in one["verdicts"].values() for count in counts.values())
    said = (
        f"With `delivery` `exactly_once`, read with `read_committed`: {faults:,} faults of the same kinds (none that"
        f" asks for repeats), seeds {seeds}, {sum(one['messages'] for one in exact):,} messages:"
        f" **{repeated}** duplicates, **{wrong - repeated}** of anything else in the list above."
    )
    return text + "\n" + fill(said, 120) + "\n"


def _rows(faults: Iterable[Found]) -> Iterator[str]:
    of_kind = defaultdict(list)
    for fault in faults:
        of_kind[fault["kind"]].append(fault)
    for kind, ones in sorted(of_kind.items()):
        copies = [one["duplicates"] for one in ones]
        times = [one["recovered_s"] for one in ones]
        yield (
            f"| {kind} | {len(ones)} | {median(copies):,.0f} / {max(copies):,} |"
            f" {median(times):.1f} / {max(times):.1f} |"
        )


def write(page: Path, text: str) -> None:
    """Put the table between the page's marks."""
    before = page.read_text(encoding="utf-8")
    after, marks = BETWEEN.subn(lambda found: found[1] + text + found[2], before)
    if marks != 1:
        raise ValueError(f"{page} has no place for the table: it needs the marks of torture, once")
    page.write_text(after, encoding="utf-8")


def main() -> int:
    """0 when every slice is clean."""
    found = results(RESULTS)
    if not found:
        print(f"nothing in {RESULTS}: run make torture first", file=sys.stderr)
        return 1
    write(PAGE, whole(found))
    print(whole(found))
    return int(
        any(count for one in found for counts in one["verdicts"].values() for count in counts.values())
    )


if __name__ == "__main__":
    sys.exit(main())
