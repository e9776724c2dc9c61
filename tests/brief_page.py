"""The page that promised it: its printed statements, shell lines and configurations, cut out of the page as they stand.

The page is text without markup: a section begins with a line that is nothing but its heading, a statement or a
configuration stands on lines of its own.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_PAGE = Path(__file__).parent / "kafka" / "brief" / "pg_tide-kafka-sink.md"
_STARTS = ("SELECT ", "BEGIN;", "--")


@cache
def page() -> str:
    """The page, whole."""
    return _PAGE.read_text(encoding="utf-8")


def section(heading: str, until: str) -> str:
    """The text between two headings."""
    text = page()
    start = text.index(f"\n{heading}\n") + len(heading) + 2
    return text[start : text.index(f"\n{until}\n", start)]


def sql_in(text: str) -> str:
    """The statements of a section: from the first line of SQL to the last semicolon that ends a line."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(_STARTS))
    last = max(number for number, line in enumerate(lines) if line.endswith(";"))
    return "\n".join(lines[first : last + 1])


def json_in(text: str) -> str:
    """The configuration of a section."""
    found = re.search(r"^\{\n.*?^\}$", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group()


def shell_in(text: str, program: str) -> str:
    """The command line of a program, with the lines that it goes on in."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(program))
    last = first
    while lines[last].endswith("\\"):
        last += 1
    return "\n".join(lines[first : last + 1])


def replaced(text: str, places: Mapping[str, str]) -> str:
    """The text with hosts, ports, paths and passwords of this machine; each must stand in it."""
    for printed, ours in places.items():
        assert printed in text
        text = text.replace(printed, ours)
    return text


MINIMAL = ("Minimal Configuration", "Production Configuration")
PRODUCTION = ("Production Configuration", "Configuration Reference")
REFERENCE = ("Configuration Reference", "Authentication")
NO_AUTHENTICATION = ("No Authentication (Development Only)", "SASL/PLAIN (Confluent Cloud)")
CONFLUENT_CLOUD = ("SASL/PLAIN (Confluent Cloud)", "SASL/SCRAM-SHA-256")
SCRAM = ("SASL/SCRAM-SHA-256", "mTLS (Certificate-Based)")
MTLS = ("mTLS (Certificate-Based)", "Message Format")
MESSAGE_FORMAT = ("Message Format", "Topic Routing")
ROUTING = ("Topic Routing", "Wire Format Integration")
WIRE_FORMAT = ("Wire Format Integration", "Delivery Guarantees")
CREATE = ("1. Set Up the Outbox", "2. Publish Messages from Your Application")
PUBLISH = ("2. Publish Messages from Your Application", "3. Configure the Pipeline")
CONFIGURE = ("3. Configure the Pipeline", "4. Start the Relay")
START = ("4. Start the Relay", "5. Verify Messages Arrive")
VERIFY = ("5. Verify Messages Arrive", "Compatibility")
