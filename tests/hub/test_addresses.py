"""From where a request comes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from hub.addresses import Proxies, network
from hub.server import application
from settings import Settings, SettingsError

PROXIES = Proxies("10.0.0.0/8, 2001:db8::/32,192.0.2.7")


@pytest.mark.parametrize(
    ("remote", "hops", "client"),
    [
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "1.2.3.4, 203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9,192.0.2.7, 2001:db8::5", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9:443", "203.0.113.9"),
        ("10.1.1.1", "[2001:db9::1]:443", "2001:db9::1"),
        ("10.1.1.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "203.0.113.9, nonsense", "10.1.1.1"),
        ("10.1.1.1", "unknown", "10.1.1.1"),
        ("10.1.1.1", "10.3.3.3", "10.3.3.3"),
    ],
)
def test_the_nearest_address_that_is_no_proxy(remote: str, hops: str, client: str) -> None:
    assert str(PROXIES.client(ip_address(remote), hops.split(","))) == client


def test_what_counts_as_one_caller() -> None:
    assert network("203.0.113.9") == "203.0.113.9"
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert network(None) == network("") == "None"


@pytest.mark.parametrize(
    ("given", "said"),
    [({"trusted_proxies": "here"}, "HUB_TRUSTED_PROXIES"), ({"registration": "admin"}, "HUB_REGISTRATION")],
)
async def test_settings_that_cannot_be_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        application(Settings(secret="x" * 32, **given), None)  # type: ignore[arg-type]
