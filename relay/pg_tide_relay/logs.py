"""What the programs say on stderr: JSON, one object a line, or text for people.

``configure`` is called once, by the command line. Everybody else writes
``structlog.get_logger("pg_tide_relay.poll")`` and passes facts as fields, named as the reference names them:
pipeline, outbox, consumer_group, message_id, topic, partition, offset, batch_size, duration_ms, error_class,
error_code, sqlstate, relay_id.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_FIRST_KEYS: Final = ("timestamp", "level", "event", "logger")
# The HTTP client of the schema registry: a line per request, and at level debug headers with passwords.
_TALKATIVE: Final = ("httpx2", "httpcore2")

_SECRET_KEY: Final = re.compile(r"password|secret|dsn|postgres_url", re.IGNORECASE)
_PASSWORD_IN_URL: Final = re.compile(r"(?P<before>\w+://[^\s:/@]*):[^\s]*@")
_PASSWORD_IN_PAIRS: Final = re.compile(r"(?P<before>password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


def configure(log_format: LogFormat, level: LogLevel, stream: TextIO | None = None) -> None:
    """Send all logs of this process, other libraries' too, to ``stream`` (stderr)."""
    stream = stream or sys.stderr
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *common],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _first_keys_first,
                _renderer(log_format, stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(log_format: LogFormat, stream: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_json_line)
    return structlog.dev.ConsoleRenderer(colors=_wants_colour(stream), sort_keys=False)


def _json_line(event: Mapping[str, Any], **_: Any) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


def _wants_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _first_keys_first(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in _FIRST_KEYS if key in event}
    return first | {key: value for key, value in event.items() if key not in first}


def _without_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The last line of defence: whoever logs should not pass a secret at all."""
    return {key: "***" if _SECRET_KEY.search(key) else _masked(value) for key, value in event.items()}


def _masked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _PASSWORD_IN_PAIRS.sub(r"\g<before>***", _PASSWORD_IN_URL.sub(r"\g<before>:***@", value))


class Log(Protocol):
    """What ``Changes`` needs of a logger."""

    def log(self, level: int, event: str, **fields: Any) -> Any:
        """Write one line."""


@dataclass(kw_only=True)
class _Said:
    level: int
    event: str
    fields: Mapping[str, Any]
    said_at: float
    repeats: int = 0


@dataclass(kw_only=True)
class Changes:
    """Says something about a subject when it changes, and counts what stays the same.

    A database that is away for an hour gives one line at once, one a minute with the number of repeats, and
    one when it is back. For the use of one thread.
    """

    log: Log
    remind_after_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _said: dict[str, _Said] = field(default_factory=dict, init=False)

    def say(
        self,
        subject: str,
        level: LogLevel,
        event: str,
        *,
        detail: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> bool:
        """Log unless the same event with the same fields was said last; ``detail`` is not compared.

        Tells whether a line was written.
        """
        number = logging.getLevelNamesMapping()[level.upper()]
        now = self.clock()
        last = self._said.get(subject)
        if last and (last.level, last.event, last.fields) == (number, event, fields):
            last.repeats += 1
            if now - last.said_at < self.remind_after_s:
                return False
            self.log.log(number, event, **fields, **(detail or {}), repeated=last.repeats)
            last.repeats, last.said_at = 0, now
            return True
        self._close(last)
        self.log.log(number, event, **fields, **(detail or {}))
        self._said[subject] = _Said(level=number, event=event, fields=fields, said_at=now)
        return True

    def forget(self, subject: str) -> None:
        """The subject is all right, or gone: what is said next is new."""
        self._close(self._said.pop(subject, None))

    def _close(self, last: _Said | None) -> None:
        if last and last.repeats:
            self.log.log(last.level, last.event, **last.fields, repeated=last.repeats)
