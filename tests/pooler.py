"""A stand-in for a connection pooler in transaction mode, such as PgBouncer: PostgreSQL's protocol, version 3.

What such poolers do to their clients is all that it does: a few server connections are shared by all clients, and
each transaction gets the one that has been idle longest. Left out: passwords of clients, TLS, cancelling.
"""

import contextlib
import os
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import count
from queue import SimpleQueue
from typing import Any, Final, Self
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import make_conninfo

_PROTOCOL_3: Final = 196608
_ENCRYPTION: Final = (80877103, 80877104)  # asks for TLS, for GSS
_NO_BACKEND: Final = 1_000_000_000  # process ids are smaller
_REPORTED: Final = ("server_version", "client_encoding", "standard_conforming_strings")

_ASK: Final = b"QSF"  # Query, Sync, FunctionCall: ReadyForQuery ends the answer to each
_WAIT_FOR_SYNC: Final = b"PBDECH"  # the extended protocol up to its Sync

_Server = psycopg.Connection[Any]
_Peer = socket.socket | _Server


class Pooler:
    """Listens in front of a database; a context manager that closes all connections at its end."""

    def __init__(self, dsn: str, servers: int = 3) -> None:
        """Share so many server connections among all clients that ask for the same settings."""
        self.transactions: Counter[int] = Counter()
        """How many transactions were begun on each server connection, by its backend's process id."""
        self._servers = servers
        self._target = make_conninfo(dsn, application_name="pooler", sslmode="disable", gssencmode="disable")
        self._pools: dict[str, _Pool] = {}
        self._numbers = count(_NO_BACKEND)
        self._clients: list[tuple[socket.socket, threading.Thread]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        parts = urlsplit(dsn)
        self.dsn = f"postgresql://{parts.username}@127.0.0.1:{self._listener.getsockname()[1]}{parts.path}"
        """The connection string for clients."""
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._accepting.join()
        for client, thread in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join()
        for pool in self._pools.values():
            while not pool.empty():
                if server := pool.get():
                    server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._clients.append((client, thread))
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        # A peer that is gone ends this connection and nothing else.
        with client, contextlib.suppress(OSError, psycopg.OperationalError, struct.error):
            target = make_conninfo(self._target, options=_read_startup(client))
            pool = self._pools.setdefault(target, _Pool(target, self._servers))
            with psycopg.connect(target) as login:
                client.sendall(_greeting(next(self._numbers), login.info))
            _Link(client, pool, self.transactions).run()


class _Pool(SimpleQueue[_Server | None]):
    """Server connections in the order in which they became idle; None is one that is still to be opened."""

    def __init__(self, target: str, servers: int) -> None:
        super().__init__()
        self._target = target
        for _ in range(servers):
            self.put(None)

    def take(self) -> _Server:
        """Wait for a connection if all are in use. libpq logs in; then its socket is used without it."""
        server = self.get()
        if server is None:
            try:
                server = psycopg.connect(self._target)
            except psycopg.OperationalError:
                self.put(None)
                raise
            os.set_blocking(server.fileno(), True)
        return server


class _Link:
    """A client, and the server connection of its transaction while it is in one.

    One thread sends what it has received before it listens again: good for clients that read while they write.
    """

    def __init__(self, client: socket.socket, pool: _Pool, transactions: Counter[int]) -> None:
        self._client = client
        self._pool = pool
        self._transactions = transactions
        self._server: _Server | None = None
        self._rests: dict[_Peer, bytearray] = {}
        self._asked = 0  # ReadyForQuery messages to come
        self._half_asked = False  # something was sent that no Sync has followed yet
        self._is_idle = True  # said the last ReadyForQuery

    def run(self) -> None:
        """Until one of the two ends, which raises an error. A server connection in use is lost with its client."""
        try:
            while True:
                peers: list[_Peer] = [self._client] if self._server is None else [self._client, self._server]
                ready, _, _ = select.select(peers, [], [])
                if self._client in ready:
                    self._up()
                if self._server is not None and self._server in ready:
                    self._down(self._server)
        finally:
            if self._server is not None:
                self._server.close()
                self._pool.put(None)

    def _received(self, peer: _Peer) -> Iterator[tuple[bytes, bytes]]:
        """Wait for bytes; type and whole of each message that they complete."""
        data = os.read(peer.fileno(), 65536)
        if not data:
            raise ConnectionError("the peer has ended the connection")
        rest = self._rests.setdefault(peer, bytearray())
        rest += data
        while len(rest) >= 5 and len(rest) > (length := int.from_bytes(rest[1:5])):
            message = bytes(rest[: length + 1])
            del rest[: length + 1]
            yield message[:1], message

    def _up(self) -> None:
        for kind, message in self._received(self._client):
            if kind == b"X":
                raise ConnectionError("the client says goodbye")
            if self._server is None:
                self._server = self._pool.take()
                self._transactions[self._server.info.backend_pid] += 1
            os.write(self._server.fileno(), message)  # all of it: the socket blocks
            self._asked += kind in _ASK
            if kind in _ASK + _WAIT_FOR_SYNC:  # not the data of a COPY
                self._half_asked = kind not in _ASK

    def _down(self, server: _Server) -> None:
        for kind, message in self._received(server):
            self._client.sendall(message)
            if kind == b"Z":
                self._asked -= 1
                self._is_idle = message[5:] == b"I"
        if self._is_idle and not self._asked and not self._half_asked:
            self._server = None
            self._pool.put(server)


def _read_startup(client: socket.socket) -> str:
    """The settings that a client asks for, except its name for itself, as options of a server's command line."""
    with client.makefile("rb") as stream:
        while (head := struct.unpack("!ii", stream.read(8)))[1] in _ENCRYPTION:
            client.sendall(b"N")
        if head[1] != _PROTOCOL_3:
            raise ConnectionError("a request to cancel, or another version of the protocol")
        words = stream.read(head[0] - 8).decode().split("\0")
    settings = dict(zip(words[0:-2:2], words[1:-2:2], strict=True))
    options = settings.pop("options", "")
    for name in sorted(settings.keys() - {"user", "database", "application_name"}):
        options += f" -c {name}=" + settings[name].replace("\\", "\\\\").replace(" ", "\\ ")
    return options


def _greeting(number: int, server: psycopg.ConnectionInfo) -> bytes:
    """What a client is told at its start: a process id of its own, which is no backend's."""
    told = [(b"R", struct.pack("!i", 0))]
    told += [(b"S", f"{name}\0{server.parameter_status(name)}\0".encode()) for name in _REPORTED]
    told += [(b"K", struct.pack("!ii", number, 0)), (b"Z", b"I")]
    return b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in told)
