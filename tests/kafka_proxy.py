"""A broker's leader that is not ready yet, on demand: a proxy before a real broker.

It passes everything on but a number of produce requests, which it answers itself as a broker does whose partition
is being made: NOT_LEADER_OR_FOLLOWER. The broker never sees those.
"""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_PRODUCE = 0
_NOT_LEADER = 6


class Proxy:
    """Listens on a port of loopback for the broker behind it."""

    def __init__(self, port: int, broker_port: int) -> None:
        self.port = port
        self.refused = 0
        self._to_refuse: set[int] = set()
        self._seen = 0
        self._broker_port = broker_port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._start(self._accept)

    def refuse(self, *numbers: int) -> None:
        """Refuse these of the produce requests from now on, counted from 1."""
        self._seen, self.refused, self._to_refuse = 0, 0, set(numbers)

    def close(self) -> None:
        """Close every connection; returns when nobody serves any more."""
        while self._threads:
            for one in [self._listener, *self._sockets]:
                # Unlike close, this wakes whoever waits in accept or recv.
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._threads.pop().join(timeout=5)
        for one in [self._listener, *self._sockets]:
            one.close()

    def _start(self, work: Callable[..., None], *sockets: socket.socket) -> None:
        thread = threading.Thread(target=_until_closed, args=(work, *sockets))
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._sockets.append(client)
            with suppress(ConnectionRefusedError):
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
                self._sockets.append(broker)
                self._start(self._requests, client, broker)
                self._start(self._answers, client, broker)
                continue
            client.close()

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        while frame := _frame(client):
            if self._is_refused(frame):
                answer = _not_leader(frame)
                client.sendall(struct.pack(">i", len(answer)) + answer)
            else:
                broker.sendall(struct.pack(">i", len(frame)) + frame)

    def _answers(self, client: socket.socket, broker: socket.socket) -> None:
        while chunk := broker.recv(65536):
            client.sendall(chunk)

    def _is_refused(self, frame: bytes) -> bool:
        if struct.unpack_from(">h", frame)[0] != _PRODUCE:
            return False
        self._seen += 1
        if self._seen not in self._to_refuse:
            return False
        self.refused += 1
        return True


@contextmanager
def proxy_on(port: int, broker_port: int) -> Iterator[Proxy]:
    """A proxy that is closed at the end."""
    proxy = Proxy(port, broker_port)
    try:
        yield proxy
    finally:
        proxy.close()


def _until_closed(work: Callable[..., None], *sockets: socket.socket) -> None:
    """One end closing closes the other; nobody is told."""
    with suppress(OSError):
        work(*sockets)
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _frame(source: socket.socket) -> bytes:
    head = _exactly(source, 4)
    return _exactly(source, struct.unpack(">i", head)[0]) if head else b""


def _exactly(source: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = source.recv(size - len(data))
        if not chunk:
            return b""
        data += chunk
    return data


def _not_leader(request: bytes) -> bytes:
    """The answer to a produce request of version 9 or 10, for one partition."""
    _, version, correlation = struct.unpack_from(">hhi", request)
    assert version in (9, 10), version
    (client_id_size,) = struct.unpack_from(">h", request, 8)
    at = 10 + client_id_size + 1  # behind the tags of the header
    at += 1 + 2 + 4  # no transactional id, acks, timeout
    assert request[at] == 2  # one topic
    name_size = request[at + 1] - 1
    name = request[at + 2 : at + 2 + name_size]
    at += 2 + name_size
    assert request[at] == 2  # one partition
    (partition,) = struct.unpack_from(">i", request, at + 1)
    refusal = struct.pack(">ihqqq", partition, _NOT_LEADER, -1, -1, -1) + b"\x01\x00\x00"
    return (
        struct.pack(">i", correlation)
        + b"\x00"
        + b"\x02"
        + bytes([len(name) + 1])
        + name
        + b"\x02"
        + refusal
        + b"\x00"
        + struct.pack(">i", 0)
        + b"\x00"
    )
