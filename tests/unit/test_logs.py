"""Logs: one JSON object a line, no secrets, repeated errors collapsed."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from pg_tide_relay.logs import Changes, LogLevel, configure


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_line_is_one_json_object_with_the_keys_of_the_reference() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    structlog.get_logger("pg_tide_relay.poll").info("two\nlines", pipeline="ä", message_id=7)
    (line,) = lines(stream)
    assert list(line) == ["timestamp", "level", "event", "logger", "pipeline", "message_id"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["logger"]) == ("info", "two\nlines", "pg_tide_relay.poll")
    assert (line["pipeline"], line["message_id"]) == ("ä", 7)


def test_lines_of_other_libraries_have_the_same_shape() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    logging.getLogger("psycopg").warning("lost %s", "it", extra={"pipeline": "p"})
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["pipeline"]) == ("lost it", "psycopg", "p")


def test_the_http_client_of_the_registry_says_nothing_of_its_requests() -> None:
    """Neither a line for each, nor at level debug its headers with passwords."""
    stream = io.StringIO()
    configure("json", "debug", stream)
    logging.getLogger("httpx2").info("HTTP Request: POST http://schemas:8081/subjects/a")
    logging.getLogger("httpcore2.http11").debug("send_request_headers Authorization: Basic c2VjcmV0")
    logging.getLogger("httpcore2").warning("lost it")
    assert [line["event"] for line in lines(stream)] == ["lost it"]


def test_an_exception_stays_on_its_line() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    try:
        raise ValueError("bad")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: bad" in line["exception"]


@pytest.mark.parametrize(
    ("level", "logged"),
    [("debug", ["d", "i", "w", "e"]), ("info", ["i", "w", "e"]), ("warning", ["w", "e"]), ("error", ["e"])],
)
def test_the_level_says_what_is_logged(level: LogLevel, logged: list[str]) -> None:
    stream = io.StringIO()
    configure("json", level, stream)
    log = structlog.get_logger("x")
    log.debug("d")
    log.info("i")
    log.warning("w")
    log.error("e")
    assert [line["event"] for line in lines(stream)] == logged


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "postgresql://user:geheim@host/db"},
        {"url": "postgresql://user:ge:geheim@im@host/db"},
        {"error": "can't read host=a password=geheim dbname=b"},
        {"error": "password = 'geheim it is'"},
        {"sasl_password": "geheim"},
        {"dsn": "geheim"},
    ],
)
def test_a_secret_that_was_passed_by_mistake_is_not_logged(fields: dict[str, str]) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    structlog.get_logger("x").info("connecting", **fields)
    assert "geheim" not in stream.getvalue()
    assert "***" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_a_terminal_and_never_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = [said_to(stream) for stream in (io.StringIO(), Terminal())]
    monkeypatch.setenv("NO_COLOR", "1")
    coloured.append(said_to(Terminal()))
    assert ["\x1b[" in text for text in coloured] == [False, True, False]


def said_to(stream: io.StringIO) -> str:
    configure("console", "info", stream)
    structlog.get_logger("x").info("hello", pipeline="p")
    assert "hello" in stream.getvalue()
    return stream.getvalue()


class Recorder:
    def __init__(self) -> None:
        self.lines: list[tuple[int, str, dict[str, Any]]] = []

    def log(self, level: int, event: str, **fields: Any) -> None:
        self.lines.append((level, event, fields))


def test_a_repeated_message_is_said_once_and_counted() -> None:
    log = Recorder()
    changes = Changes(log=log, clock=lambda: 0.0)
    for _ in range(4):
        changes.say("orders", "error", "Kafka is away", error_code="_TRANSPORT")
    changes.say("orders", "info", "Kafka is back")
    assert log.lines == [
        (logging.ERROR, "Kafka is away", {"error_code": "_TRANSPORT"}),
        (logging.ERROR, "Kafka is away", {"error_code": "_TRANSPORT", "repeated": 3}),
        (logging.INFO, "Kafka is back", {}),
    ]


def test_a_message_with_other_fields_is_another_message() -> None:
    log = Recorder()
    changes = Changes(log=log, clock=lambda: 0.0)
    assert changes.say("orders", "error", "away", error_code="A")
    assert changes.say("orders", "error", "away", error_code="B")
    assert [fields for _, _, fields in log.lines] == [{"error_code": "A"}, {"error_code": "B"}]


def test_details_make_no_difference() -> None:
    log = Recorder()
    changes = Changes(log=log, clock=lambda: 0.0)
    assert changes.say("orders", "error", "away", detail={"duration_ms": 1})
    assert not changes.say("orders", "error", "away", detail={"duration_ms": 2})
    assert log.lines == [(logging.ERROR, "away", {"duration_ms": 1})]


def test_subjects_do_not_silence_each_other() -> None:
    log = Recorder()
    changes = Changes(log=log, clock=lambda: 0.0)
    assert changes.say("orders", "error", "away")
    assert changes.say("payments", "error", "away")


def test_what_lasts_is_said_again_each_minute_with_its_count() -> None:
    log = Recorder()
    now = 0.0
    changes = Changes(log=log, clock=lambda: now, remind_after_s=60)
    for second in range(0, 121, 10):
        now = float(second)
        changes.say("orders", "warning", "away")
    assert [fields.get("repeated") for _, _, fields in log.lines] == [None, 6, 6]


def test_after_forgetting_the_same_message_is_new() -> None:
    log = Recorder()
    changes = Changes(log=log, clock=lambda: 0.0)
    changes.say("orders", "error", "away")
    changes.forget("orders")
    assert changes.say("orders", "error", "away")
    assert len(log.lines) == 2
