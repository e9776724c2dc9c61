"""References to the relay's environment: ``${env:NAME}`` inside any string value.

The stored configuration keeps the reference; the relay resolves it when a pipeline starts. What a
variable holds is taken as it is and not searched again, so a value that itself contains ``${``
belongs into a variable; there is no escape. Keys are never resolved.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from pg_tide_relay.config import paths
from pg_tide_relay.config.problems import ConfigError, Problem

# Who may configure a pipeline must not thereby read everything in the relay's environment.
ALLOWED_BY_DEFAULT = ("KAFKA_*", "CONFLUENT_*", "SCHEMA_REGISTRY_*", "TIDE_*")

_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_OPENING = re.compile(r"\$\{([^}]*)(\}?)")


@dataclass(frozen=True, kw_only=True)
class UnresolvedVariable(Problem):
    """A reference that can't be resolved in the relay's environment."""

    name: str
    reason: Literal["unset", "not allowed", "not text"]


def has_reference(text: str) -> bool:
    """Whether a stored string refers to something, rightly or wrongly."""
    return "${" in text


def names_in(text: str) -> list[str]:
    """The variables a string refers to, in order."""
    return _REFERENCE.findall(text)


def reference_faults(text: str) -> list[str]:
    """Messages for malformed references; they never quote the text, which may hold a secret."""
    faults = []
    for match in _OPENING.finditer(text):
        place = f"the reference at character {match.start() + 1}"
        if not match.group(2):
            faults.append(f"{place} is not closed; write ${{env:NAME}}")
        elif not match.group(1).startswith("env:"):
            faults.append(f"{place} is of an unknown kind; write ${{env:NAME}}")
        elif _REFERENCE.fullmatch(match.group()) is None:
            faults.append(f"{place} needs a name of letters, digits and _; write ${{env:NAME}}")
    return faults


def referring_paths(config: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The paths whose strings hold references, and which variables each names."""
    return {path: tuple(names) for path, text in _strings(config, paths.ROOT) if (names := names_in(text))}


def resolve(
    config: Mapping[str, Any],
    environ: Mapping[str, str],
    allowed: Sequence[str] = ALLOWED_BY_DEFAULT,
) -> dict[str, Any]:
    """A copy of the configuration with every reference replaced.

    ``allowed`` are shell patterns (``KAFKA_*``, case matters) of variables that may be read. Raises
    ``ConfigError`` with one ``UnresolvedVariable`` for each place and name that can't be.
    """
    problems = [
        problem
        for path, names in referring_paths(config).items()
        for name in dict.fromkeys(names)
        if (problem := _unresolved(name, path, environ, allowed)) is not None
    ]
    if problems:
        raise ConfigError(problems)
    return {key: _replaced(value, environ) for key, value in config.items()}


def _unresolved(
    name: str, path: str, environ: Mapping[str, str], allowed: Sequence[str]
) -> UnresolvedVariable | None:
    if not any(fnmatchcase(name, pattern) for pattern in allowed):
        return UnresolvedVariable(
            path=path,
            severity="error",
            message=f"the environment variable {name} may not be read by a pipeline's configuration",
            hint=f"allowed are {', '.join(allowed)}; start the relay with --allow-env {name} to allow it",
            name=name,
            reason="not allowed",
        )
    if name not in environ:
        return UnresolvedVariable(
            path=path,
            severity="error",
            message=f"the environment variable {name} is not set where the relay runs",
            hint=f"set {name} in the relay's environment and start the relay again",
            name=name,
            reason="unset",
        )
    if not _is_text(environ[name]):
        return UnresolvedVariable(
            path=path,
            severity="error",
            message=f"the environment variable {name} is not valid UTF-8",
            hint=f"set {name} to text in UTF-8 and start the relay again",
            name=name,
            reason="not text",
        )
    return None


def _is_text(value: str) -> bool:
    # os.environ gives bytes that are not UTF-8 as lone surrogates.
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _replaced(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: environ[match.group(1)], value)
    if isinstance(value, Mapping):
        return {key: _replaced(item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, environ) for item in value]
    return value


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _strings(item, paths.of_key(path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, paths.of_item(path, index))
