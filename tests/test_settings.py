"""Settings that cannot be used are refused by name."""

from __future__ import annotations

import pytest

import settings
from settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HUB_SMTP_SECURITY", "ssl"),
        ("HUB_SMTP", "mail.example.com"),
        ("HUB_ACCOUNT_TRIES", "many"),
        ("HUB_LOG_FORMAT", "xml"),
        ("HUB_COLOUR", "red"),
    ],
)
def test_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.read({name: value})


def test_where_the_hub_can_be_reached() -> None:
    assert Settings(port=8123).url == "http://127.0.0.1:8123"
    assert settings.read({"HUB_PUBLIC_URL": "https://crm.example.com/"}).url == "https://crm.example.com"
    assert settings.read({"HUB_SMTP": "mail.example.com:25"}).smtp == "mail.example.com:25"
