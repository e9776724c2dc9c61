"""A TCP proxy that can keep what clients have sent: packets that are on their way, for as long as a test wants.

`hold` keeps the bytes of the connections that are open then; connections made later pass. `release` lets the
kept bytes go on. A client that closes while its bytes are kept takes them with it, as a reset does.
"""

import socket
import threading
from types import TracebackType
from typing import Self

CHUNK = 65536


class _Connection:
    """One client and its server, with a thread for each direction."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self._lock = threading.Lock()
        self._holding = False
        self.kept = b""
        self.is_open = True
        threading.Thread(target=self._up, daemon=True).start()
        threading.Thread(target=self._down, daemon=True).start()

    def hold(self) -> None:
        with self._lock:
            self._holding = True

    def release(self) -> None:
        with self._lock:
            self._holding = False
            if self.is_open and self.kept:
                self._server.sendall(self.kept)
            self.kept = b""

    def close(self) -> None:
        self.is_open = False
        for one in (self._client, self._server):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other side was faster
            finally:
                one.close()

    def _up(self) -> None:
        try:
            while data := self._client.recv(CHUNK):
                with self._lock:
                    if self._holding:
                        self.kept += data
                    else:
                        self._server.sendall(data)
        except OSError:
            pass  # reset by the client, or closed by the other thread
        self.close()

    def _down(self) -> None:
        try:
            while data := self._server.recv(CHUNK):
                self._client.sendall(data)
        except OSError:
            pass  # reset by the server, or closed by the other thread
        self.close()


class FaultProxy:
    """Listens on a free port of the loopback interface; a context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[_Connection] = []
        self.target: tuple[str, int] | None = None  # None: connections are closed at once
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def hold(self) -> None:
        """Keep what clients send on the connections that are open now."""
        for connection in self._connections:
            connection.hold()

    def release(self) -> None:
        """Let everything go on that was kept."""
        for connection in self._connections:
            connection.release()

    def cut(self, *, on_the_way: bool) -> int:
        """Close the connections that are open now, how many; ``on_the_way``: what is on its way is lost with them."""
        cut = [connection for connection in self._connections if connection.is_open]
        for connection in cut:
            if on_the_way:
                connection.hold()
            connection.close()
        return len(cut)

    @property
    def kept(self) -> bytes:
        """What is on its way, of clients that are still there."""
        return b"".join(connection.kept for connection in self._connections if connection.is_open)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed by the test
            if self.target is None:
                client.close()
                continue
            self._connections.append(_Connection(client, socket.create_connection(self.target)))
