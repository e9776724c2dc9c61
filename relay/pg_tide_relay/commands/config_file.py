"""A pipeline's configuration from a file or from stdin."""

import json
import sys
from pathlib import Path
from typing import Any

from pg_tide_relay.commands.failure import CommandError, ExitCode


def read_config(file: Path) -> Any:
    """The JSON value in the file; ``-`` is stdin. Raises CommandError."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(
            f"{file} can't be read: {reason}", cure="name a JSON file", code=ExitCode.USAGE
        ) from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise CommandError(
            f"{file} is no JSON: {error}",
            cure="write one JSON object, as in tide.relay_set_outbox",
            code=ExitCode.CONFIGURATION,
        ) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value in JSON")
