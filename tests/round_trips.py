"""A listener in front of PostgreSQL that counts round trips: how often a client speaks after the server has spoken."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit, urlunsplit


class RoundTrips:
    """Stands between a relay and its server; connections are told apart by their application names."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        assert parts.hostname is not None
        assert parts.port is not None
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        credentials = parts.netloc.rpartition("@")[0]
        self.dsn = urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{port}"))
        """The connection string for clients."""
        self._links: list[_Link] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def count(self, name: str) -> int:
        """Round trips so far of all connections whose application name ends like this."""
        return sum(link.trips for link in self._links if link.name.endswith(name))

    def close(self) -> None:
        """Accept nobody any more; open connections end with their peers."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._accepting.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError), self._listener:
            while True:
                client, _ = self._listener.accept()
                self._links.append(_Link(client, socket.create_connection(self._server)))


class _Link:
    """One connection through the listener."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.trips = 0
        self.name = ""
        self._server_spoke = True
        threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            back = threading.Thread(target=self._down, args=(server, client), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                self._up(client, server)
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        while data := client.recv(65536):
            if b"application_name\0" in data and not self.name:
                self.name = data.split(b"application_name\0")[1].split(b"\0")[0].decode()
            self.trips += self._server_spoke
            self._server_spoke = False
            server.sendall(data)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                self._server_spoke = True
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
