"""What tests of `pg-tide verify` need: its answer, and copies of a topic in which something is wrong on purpose."""

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Message, Producer
from typer.testing import CliRunner

from fix_relay import PG_TIDE, clean_environment
from pg_tide_relay import cli
from relay_kit import Tide

Headers = list[tuple[str, bytes]]


class Copy(NamedTuple):
    """A record to be written by hand."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def message_id(self) -> int:
        """The message that it claims to be of."""
        return int(dict(self.headers)["pg_tide_id"])

    @property
    def ts(self) -> int:
        """And when that was published, in microseconds."""
        return int(dict(self.headers)["pg_tide_ts"])

    def naming(self, **headers: str) -> "Copy":
        """The same with other values of headers."""
        return self._replace(
            headers=[
                (name, headers[name].encode() if name in headers else value) for name, value in self.headers
            ]
        )


def copies(messages: Iterable[Message]) -> list[Copy]:
    """Records as they were read, in their order."""
    return [
        Copy(
            partition=message.partition() or 0,
            key=_bytes(message.key()),
            value=_bytes(message.value()),
            headers=[(name, _bytes(value) or b"") for name, value in message.headers() or []],
            timestamp_ms=message.timestamp()[1],
        )
        for message in messages
    ]


def write(bootstrap: str, topic: str, records: Iterable[Copy], **properties: Any) -> None:
    """Produce records to the partitions that they name, in this order."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0, **properties}
    )
    for one in records:
        producer.produce(topic, one.value, one.key, one.partition, None, None, one.timestamp_ms, one.headers)
    assert producer.flush(30) == 0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the command said."""

    code: int
    report: dict[str, Any]

    def count(self, kind: str) -> int:
        """How many findings of one kind there are."""
        return int(self.report["findings"][kind]["count"])

    def ids(self, kind: str) -> list[int]:
        """The messages of one kind of findings; all are shown in the tests."""
        found = self.report["findings"][kind]
        shown = [example["id"] for example in found["examples"]]
        assert len(shown) == found["count"]
        return shown

    @property
    def found(self) -> dict[str, list[int]]:
        """All findings that there are."""
        kinds = self.report["findings"]
        return {kind: self.ids(kind) for kind in kinds if kinds[kind]["count"]}


def run(
    tide: Tide, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [*PG_TIDE, "verify", "--postgres-url", tide.dsn, *arguments],
        env={**clean_environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def verify(tide: Tide, *arguments: str, pipeline: str = "orders-to-kafka") -> Answer:
    """Its answer, which is whole whether or not something was found; in this process, which is ten times as fast."""
    return verify_at(tide.dsn, pipeline, *arguments)


def verify_at(dsn: str, pipeline: str, *arguments: str) -> Answer:
    """The same for a database that is not a `Tide`."""
    command = ["verify", pipeline, "-o", "json", "--postgres-url", dsn, *arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pg_tide_relay.logs.configure", lambda *_given: None)
        for name in list(os.environ):
            if name.startswith(("PG", "DATABASE_URL", "KAFKA_", "TIDE_")):
                patch.delenv(name)
        done = CliRunner().invoke(cli.build(), command, catch_exceptions=False)
    assert done.exit_code in (0, 1), done.stderr
    return Answer(code=done.exit_code, report=json.loads(done.stdout))


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
