"""Kafka seen from below: record batches as the broker stores them, and produce requests as they pass by.

Clients hide both. The layouts are those of Kafka's protocol guide: Fetch version 4, Produce versions 3 and later,
record batches of format 2.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

_FETCH, _PRODUCE, _ALTER_CLIENT_QUOTAS = 1, 0, 49
_BATCH = struct.Struct(">qiibihiqqqhii")


class RecordBatch(NamedTuple):
    """What the header of a record batch says."""

    codec: str
    producer_id: int  # -1: not of an idempotent producer
    records: int


class ProduceRequest(NamedTuple):
    """What a produce request asks of the broker."""

    client_id: str
    acks: int  # -1: all
    timeout_ms: int


def record_batches(bootstrap: str, topic: str, partition: int = 0) -> list[RecordBatch]:
    """All batches of a partition, as they were produced; the first address must lead the partition."""
    host, port = bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1)
    found: list[RecordBatch] = []
    offset = 0
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        while data := _fetch(connection, topic, partition, offset):
            for first, last, batch in _batches(data):
                if first >= offset:
                    found.append(batch)
                offset = last + 1
    return found


def set_produce_quota(bootstrap: str, client_id: str, bytes_a_second: float | None) -> None:
    """Let clients of this id produce so much (AlterClientQuotas version 0, which no client of ours has); None: all."""
    host, port = bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1)
    entity = struct.pack(">i", 1) + _text("client-id") + _text(client_id)
    op = _text("producer_byte_rate") + struct.pack(">d?", bytes_a_second or 0.0, bytes_a_second is None)
    asked = struct.pack(">i", 1) + entity + struct.pack(">i", 1) + op + struct.pack(">?", False)
    request = struct.pack(">hhi", _ALTER_CLIENT_QUOTAS, 0, 7) + _text("test") + asked
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
    _, _, entries, error = struct.unpack_from(
        ">iiih", answer
    )  # correlation, throttling, entries, their first error
    assert (entries, error) == (1, 0), answer


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _fetch(connection: socket.socket, topic: str, partition: int, offset: int) -> bytes:
    name = topic.encode()
    asked = struct.pack(">iiiibi", -1, 0, 0, 50_000_000, 0, 1) + struct.pack(">h", len(name)) + name
    asked += struct.pack(">iiqi", 1, partition, offset, 50_000_000)
    request = struct.pack(">hhih", _FETCH, 4, 7, 4) + b"test" + asked
    connection.sendall(struct.pack(">i", len(request)) + request)
    answer = _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
    at = (
        4 + 4 + 4 + 2 + len(name) + 4 + 4
    )  # correlation, throttling, topics, its name, partitions, its number
    error, _, _, aborted = struct.unpack_from(">hqqi", answer, at)
    assert error == 0, f"fetch of {topic}: error {error}"
    at += 22 + 16 * max(aborted, 0)
    (size,) = struct.unpack_from(">i", answer, at)
    return answer[at + 4 : at + 4 + size]


def _batches(data: bytes) -> Iterator[tuple[int, int, RecordBatch]]:
    """First and last offset and header of each batch that is there in full."""
    at = 0
    while len(data) - at >= _BATCH.size:
        first, length, _, _, _, attributes, last, _, _, producer_id, _, _, records = _BATCH.unpack_from(
            data, at
        )
        if len(data) - at < 12 + length:
            return
        yield first, first + last, RecordBatch(CODECS[attributes & 7], producer_id, records)
        at += 12 + length


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = connection.recv(size - len(got))
        if not more:
            raise ConnectionError("the broker closed the connection")
        got += more
    return got


@dataclass
class Tap:
    """A listener in front of a broker that notes produce requests. The broker must advertise its port."""

    port: int
    broker: tuple[str, int] = ("", 0)

    def __post_init__(self) -> None:
        self.seen: list[ProduceRequest] = []
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more; open connections end with their peers."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self.broker) as broker:
            back = threading.Thread(target=_copy, args=(broker, client), daemon=True)
            back.start()
            while True:
                size = _exactly(client, 4)
                request = _exactly(client, struct.unpack(">i", size)[0])
                if struct.unpack_from(">h", request)[0] == _PRODUCE:
                    self.seen.append(_produce_request(request))
                broker.sendall(size + request)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _produce_request(request: bytes) -> ProduceRequest:
    (length,) = struct.unpack_from(">h", request, 8)
    client_id = request[10 : 10 + length].decode()
    at = 10 + length
    # A transactional id follows, which nobody here has: one zero byte in compact form, else -1; before it, in
    # flexible versions, the header's empty tags.
    at += 2
    acks, timeout_ms = struct.unpack_from(">hi", request, at)
    return ProduceRequest(client_id, acks, timeout_ms)
