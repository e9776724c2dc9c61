"""The words that complete "must be ...": what a rule expects, for people."""

from collections.abc import Sequence
from typing import Any

KINDS = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def one_of(values: Sequence[str]) -> str:
    """``"a"`` or ``one of "a", "b", "c"``."""
    quoted = ", ".join(f'"{value}"' for value in values)
    return quoted if len(values) == 1 else f"one of {quoted}"


def number(kind: str, bounds: dict[str, Any], unit: str | None) -> str:
    """``a whole number from 1 to 10000 (messages)``."""
    suffix = "" if unit is None else f" ({unit})"
    if "min" in bounds and "max" in bounds:
        return f"{KINDS[kind]} from {bounds['min']} to {bounds['max']}{suffix}"
    named = {"min": "at least", "above": "above", "max": "at most", "below": "below"}
    limits = [f"{word} {bounds[bound]}" for bound, word in named.items() if bound in bounds]
    return " ".join([KINDS[kind], " and ".join(limits)]).strip() + suffix


def string(lengths: dict[str, Any]) -> str:
    """``a string that is not empty``, ``a string of 1 to 20 characters``."""
    if lengths.get("length_min") == 1 and "length_max" not in lengths:
        return "a string that is not empty"
    return sized("a string", lengths, "characters")


def sized(what: str, lengths: dict[str, Any], things: str) -> str:
    """``a list of 1 to 3 items``."""
    least, most = lengths.get("length_min"), lengths.get("length_max")
    if least is None and most is None:
        return what
    if most is None:
        return f"{what} of at least {least} {things}"
    if least is None:
        return f"{what} of at most {most} {things}"
    return f"{what} of {least} to {most} {things}"
