"""A TCP proxy that can do to connections what networks do.

`hold` keeps the bytes of the connections that are open then; connections made later pass. `release` lets the
kept bytes go on. A client that closes while its bytes are kept takes them with it, as a reset does.

`weather` is what all connections have, old and new: nothing passes for a while, everything is late, nobody gets in.
`reset` and `tear` are what happens once to those that are open.
"""

import enum
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

CHUNK = 65536
LATE_S = 0.15  # a chunk in slow weather
SLOW_CHUNK = 2048
RESET = struct.pack("ii", 1, 0)  # linger for 0 s: closing sends RST
STILL_LOOK_S = 0.02


class Weather(enum.Enum):
    """What the network is like."""

    CLEAR = "clear"
    SLOW = "slow"  # every chunk is late, and small
    STILL = "still"  # connections stay, nothing passes
    DOWN = "down"  # connections are closed, new ones too


class _Connection:
    """One client and its server, with a thread for each direction."""

    def __init__(self, proxy: "FaultProxy", client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._lock = threading.Lock()
        self._holding = False
        self._torn = False
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

    def tear(self) -> None:
        """Of the server's next answer pass one half, then reset the connection."""
        self._torn = True

    def reset(self) -> None:
        """Close it as a machine does that has forgotten it: what is on its way is gone."""
        for one in (self._client, self._server):
            try:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            except OSError:
                continue  # closed already
        self.close(socket.SHUT_RD)  # wakes our own threads and tells the other sides nothing

    def close(self, how: int = socket.SHUT_RDWR) -> None:
        self.is_open = False
        for one in (self._client, self._server):
            try:
                one.shutdown(how)
            except OSError:
                continue  # the other side was faster
            finally:
                one.close()

    def _up(self) -> None:
        try:
            while data := self._client.recv(self._proxy.chunk):
                self._wait_for_weather()
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
            while data := self._server.recv(self._proxy.chunk):
                self._wait_for_weather()
                if self._torn:
                    self._client.sendall(data[: len(data) // 2])
                    break
                self._client.sendall(data)
        except OSError:
            pass  # reset by the server, or closed by the other thread
        (self.reset if self._torn else self.close)()

    def _wait_for_weather(self) -> None:
        if self._proxy.weather is Weather.SLOW:
            time.sleep(LATE_S)
        while self._proxy.weather is Weather.STILL and self.is_open:
            time.sleep(STILL_LOOK_S)


class FaultProxy:
    """Listens on a free port of the loopback interface; a context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._connections: list[_Connection] = []
        self.weather = Weather.CLEAR
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

    @property
    def chunk(self) -> int:
        """How many bytes are read at a time."""
        return SLOW_CHUNK if self.weather is Weather.SLOW else CHUNK

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
        cut = self._open()
        for connection in cut:
            if on_the_way:
                connection.hold()
            connection.close()
        return len(cut)

    def reset(self) -> int:
        """Reset the connections that are open now; how many."""
        found = self._open()
        for connection in found:
            connection.reset()
        return len(found)

    def tear(self) -> int:
        """On each connection that is open now the next answer arrives as a half, and no more; how many."""
        found = self._open()
        for connection in found:
            connection.tear()
        return len(found)

    def change(self, weather: Weather) -> None:
        """From now on the network is like this."""
        self.weather = weather
        if weather is Weather.DOWN:
            self.cut(on_the_way=True)

    @property
    def kept(self) -> bytes:
        """What is on its way, of clients that are still there."""
        return b"".join(connection.kept for connection in self._connections if connection.is_open)

    def _open(self) -> list[_Connection]:
        self._connections = [connection for connection in self._connections if connection.is_open]
        return self._connections[:]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed by the test
            if self.target is None or self.weather is Weather.DOWN:
                client.close()
                continue
            try:
                server = socket.create_connection(self.target)
            except OSError:
                client.close()  # the server is down
                continue
            self._connections.append(_Connection(self, client, server))
