"""Hosts and ports as regular expressions of the rule language: parts of the addresses that a configuration names."""

from typing import Final

PORT: Final = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_NAME_OR_V4: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_V6: Final = r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?\]"

HOST: Final = f"(?:{_NAME_OR_V4}|{_V6})"
HTTP_URL: Final = f"https?://{HOST}(?::{PORT})?(?:/[A-Za-z0-9._%/-]*)?"
"""Without user and password: those have keys of their own."""
