"""Settings of a relay process."""

import dataclasses
from typing import Any

import pytest

from pg_tide_relay.settings import RelaySettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("relay_id", ""),
        ("relay_id", "ü" * 128),
        ("lease_ms", 999),
        ("lease_ms", 600_001),
        ("drain_timeout_s", -0.1),
        ("drain_timeout_s", 3_601),
        ("poll_interval_ms", 0.9),
        ("poll_interval_ms", 60_001),
        ("allow_env", ("A_*", "")),
        ("pipelines", ("",)),
        ("installation", "ü" * 128),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: Any) -> None:
    settings: dict[str, Any] = {"dsn": "", "relay_id": "a"} | {setting: value}
    with pytest.raises(ValueError, match=f"^{setting}: "):
        RelaySettings(**settings)


def test_settings_can_not_be_changed() -> None:
    settings = RelaySettings(dsn="", relay_id="a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.relay_id = "b"  # type: ignore[misc]


def test_printed_settings_do_not_show_the_password() -> None:
    settings = RelaySettings(dsn="postgresql://u:geheim@h/d", relay_id="a")
    assert "geheim" not in f"{settings} {settings!r}"
