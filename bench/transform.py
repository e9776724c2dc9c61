"""Filter and projection over a ten-field payload: compiled, against ``jmespath.search``, in the same run.

    python bench/transform.py [--rounds 7] [--documents 20000]

CPU seconds of one thread. The documents are parsed beforehand, so that expressions are compared and nothing else;
the last two lines are what a message costs with and without, parsing and writing included.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import jmespath
import orjson

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.expression import Expression
from pg_tide_relay.message import Row
from pg_tide_relay.wire_types import Origin
from pg_tide_wire_formats.documents import parse

FILTER: Final = "total > `10` && status == 'paid' && customer.country != 'XX'"
PROJECTION: Final = (
    "{id: id, total: total, country: customer.country, first: items[0].sku, paid: status == 'paid'}"
)
AT_LEAST: Final = 6.0
EXPRESSIONS: Final = (("filter", FILTER), ("projection", PROJECTION))


def _document(number: int) -> bytes:
    return orjson.dumps(
        {
            "id": number,
            "total": number % 100 + 0.25,
            "status": "paid" if number % 3 else "open",
            "customer": {"name": f"Customer {number}", "country": "DE"},
            "items": [{"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 1}],
            "note": "x" * 40,
            "currency": "EUR",
            "channel": "web",
            "created_at": "2026-01-01T00:00:00Z",
            "version": 3,
        }
    )


def microseconds(work: Callable[[Any], Any], each: Sequence[Any]) -> float:
    """CPU of this thread for each of them."""
    begun = time.thread_time()
    for one in each:
        work(one)
    return (time.thread_time() - begun) / len(each) * 1e6


def main() -> int:
    """Print a table; 1 when the median of a ratio is below the aim."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--documents", type=int, default=20_000)
    options = parser.parse_args()
    texts = [_document(number) for number in range(options.documents)]
    parsed = [parse(text) for text in texts]
    reached = True
    print(
        "| | compiled, µs | `jmespath.search` with a compiled expression, µs | times faster |\n|---|---|---|---|"
    )
    for name, text in EXPRESSIONS:
        ours, theirs = Expression(text), jmespath.compile(text)
        rounds = [
            (microseconds(ours, parsed), microseconds(theirs.search, parsed)) for _ in range(options.rounds)
        ]
        ratios = [other / own for own, other in rounds]
        reached = reached and statistics.median(ratios) >= AT_LEAST
        print(
            f"| {name} | {three([own for own, _ in rounds])} | {three([other for _, other in rounds])} "
            f"| {three(ratios)} |"
        )
    rows: list[Row] = [
        (number, b"insert", b"k", None, text, None, None, 1) for number, text in enumerate(texts)
    ]
    base: dict[str, Any] = {"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t"}
    print("\n| shape of a message | µs |\n|---|---|")
    for name, transform in (
        ("native", {}),
        ("with the filter", {"filter": FILTER}),
        ("with the projection", {"payload": PROJECTION}),
    ):
        shape = compile_shape(
            PipelineConfig.model_validate({**base, "transform": transform}), Origin("orders", "shop")
        )
        print(f"| {name} | {three([microseconds(shape, rows) for _ in range(options.rounds)])} |")
    return 0 if reached else 1


def three(values: Sequence[float]) -> str:
    """Least, median and greatest."""
    return " / ".join(f"{value:.2f}" for value in (min(values), statistics.median(values), max(values)))


if __name__ == "__main__":
    sys.exit(main())
