"""Rows in the types of Flink SQL: what its answers are, and what they should be."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from judges.orders import Change, Values

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# In Flink's types: what is a number of days or microseconds for Debezium is one here too.
TYPED = {
    "id": "BIGINT", "customer": "STRING", "paid": "BOOLEAN", "small": "SMALLINT", "n": "INT", "total": "DECIMAL(12,2)",
    "weight": "STRING", "price": "DOUBLE", "ratio": "FLOAT", "born": "INT", "placed": "BIGINT", "shipped": "BIGINT",
    "stamped": "TIMESTAMP_LTZ(6)", "clock": "BIGINT", "uid": "STRING", "raw": "BYTES", "tags": "ARRAY<STRING>",
    "lasted": "BIGINT",
}  # fmt: skip
# Payloads as PostgreSQL renders them, where Flink reads the text of a timestamp itself.
AS_THEY_ARE = {
    "id": "BIGINT", "customer": "STRING", "paid": "BOOLEAN", "small": "SMALLINT", "n": "INT", "total": "DECIMAL(12,2)",
    "price": "DOUBLE", "placed": "TIMESTAMP(6)", "shipped": "TIMESTAMP(3)", "uid": "STRING", "tags": "ARRAY<STRING>",
}  # fmt: skip
AS_TEXT = ("placed", "shipped", "stamped")
AS_JSON = ("raw", "tags")  # PyFlink can't hand on an array with nulls


def kinds(changes: list[Change]) -> Iterator[tuple[str, Values]]:
    """The rows of a changelog that changes make: an update is two."""
    for change in changes:
        if change.before is not None:
            yield ("-D" if change.op == "d" else "-U"), change.before
        if change.after is not None:
            yield ("+I" if change.op == "c" else "+U"), change.after


def expected(columns: dict[str, str], row: Values) -> list[Any]:
    """A row in Flink's types."""
    return [None if row[name] is None else _expected(kind, name, row[name]) for name, kind in columns.items()]


def _expected(kind: str, name: str, value: Any) -> Any:
    if kind.startswith("TIMESTAMP"):
        moment = (
            datetime.fromisoformat(value)
            if isinstance(value, str)
            else EPOCH + timedelta(microseconds=value if name == "placed" else value * 1000)
        )
        return moment.astimezone(UTC).replace(tzinfo=None)
    return _typed(kind, value)


def found(columns: dict[str, str], values: list[Any]) -> list[Any]:
    """The judge's text in Flink's types."""
    return [
        None if value is None else json.loads(value) if name in AS_JSON else _typed(kind, value)
        for (name, kind), value in zip(columns.items(), values, strict=True)
    ]


def asked(name: str) -> str:
    """A column in the query."""
    if name in AS_JSON:
        return f"JSON_STRING(`{name}`)"
    return f"CAST(`{name}` AS STRING)" if name in AS_TEXT else f"`{name}`"


def _typed(kind: str, value: Any) -> Any:
    if kind in ("BIGINT", "INT", "SMALLINT"):
        return int(value)
    if kind.startswith("DECIMAL"):
        return str(Decimal(value))
    if kind == "BOOLEAN":
        return str(value).lower() == "true"
    if kind == "FLOAT":
        return float(f"{float(value):.7g}")
    if kind == "DOUBLE":
        return float(value)
    if kind.startswith("TIMESTAMP"):
        return datetime.fromisoformat(value)
    return value
