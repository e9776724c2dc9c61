"""A ten-field document with a decimal and a time in Avro: compiled closures, against fastavro, in the same run.

    python bench/avro.py [--rounds 7] [--documents 20000]

CPU seconds of one thread, per message. fastavro's writer wants Python's Decimal and datetime, so these are made of the
parsed document first; it checks less (a number of more than 32 bits in an int, a member that the schema has not). Last
come what a message costs on the way to it, for the share: its shape in the native format, and its parsing.
"""

import argparse
import io
import statistics
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import fastavro

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.encode import compile_shape
from pg_tide_relay.message import Row
from pg_tide_relay.wire_types import Origin
from pg_tide_wire_formats.avro import compile_avro
from pg_tide_wire_formats.documents import parse
from transform import microseconds, three

SCHEMA: Final = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": "string"},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "created_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["open", "paid"]}},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "currency", "type": "string"},
        {"name": "paid", "type": "boolean"},
        {"name": "weight", "type": "double"},
        {"name": "version", "type": "int"},
    ],
}
_DOCUMENT: Final = (
    b'{"id": %d, "note": "a note of some length", "paid": true, "total": %d.10, "status": "paid", "weight": 1.25, '
    b'"version": 3, "currency": "EUR", "customer": "Customer %d", "created_at": "2026-01-31T09:15:00.%06d+01:00"}'
)
AT_LEAST: Final = 1.2


def _with_fastavro() -> Callable[[Any], bytes]:
    schema = fastavro.parse_schema(SCHEMA)

    def encode(document: dict[str, Any]) -> bytes:
        values = {
            **document,
            "total": Decimal(document["total"].text),
            "created_at": datetime.fromisoformat(document["created_at"]),
        }
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, values)
        return stream.getvalue()

    return encode


def main() -> int:
    """Print a table; 1 when the closures are not faster than fastavro by as much as is aimed at."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--documents", type=int, default=20_000)
    options = parser.parse_args()
    texts = [_DOCUMENT % (number, number, number, number) for number in range(options.documents)]
    parsed = [parse(text) for text in texts]
    rows: list[Row] = [
        (number, b"insert", b"k", None, text, None, None, 1) for number, text in enumerate(texts)
    ]
    config = PipelineConfig.model_validate({"sink_type": "kafka", "brokers": "localhost:9092", "topic": "t"})
    ours, theirs = compile_avro(SCHEMA).encode, _with_fastavro()
    assert all(ours(document) == theirs(document) for document in parsed[:1000])
    works: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]] = {
        "closures": (ours, parsed),
        "fastavro, values made first": (theirs, parsed),
        "parsing": (parse, texts),
        "shape in the native format": (compile_shape(config, Origin("orders", "shop")), rows),
    }
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, (work, each) in works.items():
            spent[name].append(microseconds(work, each))
    print("| | µs per message |\n|---|---|")
    for name, values in spent.items():
        print(f"| {name} | {three(values)} |")
    ratios = [other / own for own, other in zip(*list(spent.values())[:2], strict=True)]
    print(f"\nTimes faster than fastavro: {three(ratios)}")
    return 0 if statistics.median(ratios) >= AT_LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
