"""``python -m pg_tide_relay.child``: one relay process of ``pg-tide run --processes N``; see ``processes``.

Standard input begins with a line of settings; then come orders. Its end means that the parent is gone.
"""

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from threading import Thread

from pg_tide_relay import logs, supervisor
from pg_tide_relay.processes import NOW
from pg_tide_relay.settings import RelaySettings
from pg_tide_relay.supervisor import Stop

_STDIN = 0


def main() -> int:
    """Run as the first line says; the exit code of the process."""
    lines = _lines()
    first = next(lines, b"")
    if not first:
        return supervisor.EXIT_OK  # the parent died before it could say anything
    settings, log_format, log_level = json.loads(first)
    logs.configure(log_format, log_level)
    return supervisor.run(_settings(settings), listen=partial(_listen, lines))


def _settings(values: dict[str, object]) -> RelaySettings:
    """JSON knows no tuples."""
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return RelaySettings(**given)  # type: ignore[arg-type]


def _lines() -> Iterator[bytes]:
    """Lines of standard input, read without a buffer: one that a thread waits in can't be closed at the end."""
    rest = b""
    while data := os.read(_STDIN, 65536):
        *whole, rest = (rest + data).split(b"\n")
        yield from (line + b"\n" for line in whole)


def _listen(lines: Iterator[bytes], stop: Stop) -> None:
    Thread(target=_obey, args=(lines, stop), name="orders", daemon=True).start()


def _obey(lines: Iterator[bytes], stop: Stop) -> None:
    for line in lines:
        stop(now=line == NOW)
    stop(now=False)


if __name__ == "__main__":
    sys.exit(main())
