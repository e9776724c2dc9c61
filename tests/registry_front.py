"""A schema registry as it is met in companies, before a real one: it asks who is there, encrypts, counts, and fails.

It passes everything on but what its faults say, and keeps a line per request.
"""

import base64
import http.client
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_TYPE = "application/vnd.schemaregistry.v1+json"
_NOT_PASSED_ON = {"host", "authorization", "content-length", "connection", "accept-encoding"}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to requests that contain a text."""

    match: str = ""
    status: int | None = None
    body: bytes | None = None
    delay_s: float = 0.0
    drop: bool = False  # the connection is closed without an answer


class Front:
    """Listens on a port of loopback; `down` and `up` are what a crash and a restart look like."""

    def __init__(
        self,
        target: str,
        *,
        basic: str | None = None,
        bearer: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[str] = []
        self.fault: Fault | None = None
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 80)
        self.accepted = None
        if basic is not None:
            self.accepted = "Basic " + base64.b64encode(basic.encode()).decode()
        if bearer is not None:
            self.accepted = f"Bearer {bearer}"
        self._path = parts.path
        self._tls = tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        """Where Confluent's API begins."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._port}{self._path}"

    def count(self) -> Counter[str]:
        """How often each request was made, its query left out."""
        return Counter(line.partition("?")[0].replace(self._path, "") for line in self.requests)

    def up(self) -> None:
        """Listen, on the same port as before."""
        server = ThreadingHTTPServer(("127.0.0.1", self._port), _handler_of(self))
        self._port = server.server_address[1]
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def front_of(target: str, **options: Any) -> Iterator[Front]:
    """A front that is closed at the end."""
    front = Front(target, **options)
    try:
        yield front
    finally:
        front.down()


def _handler_of(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            line = f"{self.command} {self.path}"
            front.requests.append(line)
            fault = front.fault
            if fault is not None and fault.match in line:
                time.sleep(fault.delay_s)
                if fault.drop:
                    self.close_connection = True
                    return
                if fault.status is not None:
                    self._send(
                        fault.status, _error(fault.status, "injected") if fault.body is None else fault.body
                    )
                    return
            if front.accepted is not None and self.headers.get("Authorization") != front.accepted:
                self._send(401, _error(401, "Unauthorized"))
                return
            self._pass_on(body)

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(*front.target, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON}
            try:
                connection.request(self.command, self.path, body or None, headers)
                answer = connection.getresponse()
                self._send(answer.status, answer.read())
            finally:
                connection.close()

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", _TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815  (the library's names)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _error(code: int, message: str) -> bytes:
    return json.dumps({"error_code": code, "message": message}).encode()
