"""What is wrong with one string under its rule; ``tide._config_text_faults`` says the same in SQL."""

import re
from collections.abc import Iterator
from typing import Any

from pg_tide_relay.config.nearest import nearest
from pg_tide_relay.config.templates import Token, is_dotted, tokens

JsonObject = dict[str, Any]


def text_faults(rule: JsonObject, text: str) -> list[str]:
    """Messages for a string, empty when it is fine. The rule: see ``rules``."""
    if not rule.get("length_min", 0) <= len(text) <= rule.get("length_max", len(text)):
        return [f"must be {rule['expects']}"]
    faults = [
        *_value_faults(rule, text),
        *_entry_faults(rule, text),
    ]
    if "template" in rule:
        faults.extend(_template_faults(rule["template"], text))
    prefix = rule.get("reserved_prefix")
    if prefix is not None and text.startswith(prefix):
        faults.append(f'must not begin with "{prefix}", which is reserved')
    return faults


def enum_fault(rule: JsonObject, text: str) -> str:
    """The message for a string that is none of the rule's values."""
    if text in rule.get("not_yet", ()):
        return f'"{text}" is not available in this version; must be {rule["expects"]}'
    guess = nearest(text, rule["enum"])
    suggestion = "" if guess is None else f'; did you mean "{guess}"?'
    return f"must be {rule['expects']}{suggestion}"


def _value_faults(rule: JsonObject, text: str) -> Iterator[str]:
    if "enum" in rule and text not in rule["enum"]:
        yield enum_fault(rule, text)
    if "pattern" in rule and re.fullmatch(rule["pattern"], text) is None:
        yield f"must be {rule['expects']}"


def _entry_faults(rule: JsonObject, text: str) -> Iterator[str]:
    entries = rule.get("entries")
    if entries is None:
        return
    for number, entry in enumerate(text.split(entries["separator"]), start=1):
        if re.fullmatch(entries["pattern"], entry.strip(" ")) is None:
            yield f"entry {number} must be {entries['expects']}"


def _template_faults(rule: JsonObject, text: str) -> Iterator[str]:
    literal = ""
    is_literal = True
    for token in tokens(text):
        if token.kind == "text":
            literal += token.text
        else:
            is_literal = False
        fault = _token_fault(rule, token)
        if fault is not None:
            yield fault
    if is_literal and literal in rule["refused"]:
        yield f'"{literal}" is not allowed here'
    longest = rule["literal_length_max"]
    if longest is not None and len(literal) > longest:
        yield f"must not have more than {longest} characters beside its placeholders"


def _token_fault(rule: JsonObject, token: Token) -> str | None:
    match token.kind:
        case "open":
            return f'the "{{" at character {token.position} is not closed; write "{{{{" for a brace'
        case "close":
            return f'the "}}" at character {token.position} was not opened; write "}}}}" for a brace'
        case "placeholder":
            return _placeholder_fault(rule["placeholders"], rule["dotted"], token)
        case "text":
            return _literal_fault(rule, token)


def _placeholder_fault(known: list[str], dotted: list[str], token: Token) -> str | None:
    if token.text in known or (token.text.split(".")[0] in dotted and is_dotted(token.text)):
        return None
    guess = nearest(token.text, known)
    names = ", ".join([*(f"{{{name}}}" for name in known), *(f"{{{name}.member}}" for name in dotted)])
    cure = f"known are {names}" if guess is None else f"did you mean {{{guess}}}?"
    return f"unknown placeholder {{{token.text}}} at character {token.position}; {cure}"


def _literal_fault(rule: JsonObject, token: Token) -> str | None:
    if rule["literal"] is None:
        return None
    legal = re.match(f"(?:{rule['literal']})*", token.text)
    length = 0 if legal is None else legal.end()
    if length == len(token.text):
        return None
    return f"character {token.position + length} is not allowed; {rule['literal_expects']}"
