"""How a place inside a configuration is written."""

import json
import re

ROOT = "$"
_PLAIN_KEY = re.compile("[A-Za-z0-9_-]+")


def of_key(parent: str, key: str) -> str:
    """Path of an object's key: ``parent.key``, or ``parent["a key"]`` when a dot would be ambiguous."""
    plain = _PLAIN_KEY.fullmatch(key) is not None
    if not plain:
        return f"{'' if parent == ROOT else parent}[{json.dumps(key, ensure_ascii=False)}]"
    return key if parent == ROOT else f"{parent}.{key}"


def of_item(parent: str, index: int) -> str:
    """Path of a list's item, counted from 0: ``parent[0]``."""
    return f"{parent}[{index}]"
