"""From where a request comes: whoever opened the connection, or whoever a trusted proxy says it forwards for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import web

Address = IPv4Address | IPv6Address

FORWARDED = "X-Forwarded-For"


class Proxies:
    """Those whose word is taken for whom they forward."""

    def __init__(self, listed: str) -> None:
        """Addresses and networks, with commas between. Raises ValueError for what is neither."""
        self._networks = [ip_network(one.strip()) for one in listed.split(",") if one.strip()]

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def client(self, remote: Address, hops: Iterable[str]) -> Address:
        """The nearest address that is no proxy of ours; `hops` are what proxies said, the last one nearest."""
        nearest = remote
        for hop in reversed(list(hops)):
            if nearest not in self:
                break
            address = _parsed(hop)
            if address is None:
                break
            nearest = address
        return nearest


PROXIES = web.AppKey("proxies", Proxies)


def address(request: web.Request) -> str | None:
    """The caller's IP address, without the zone that a link-local one has and Postgres does not take."""
    remote = (request.remote or "").partition("%")[0] or None
    proxies = request.app[PROXIES]
    if not proxies or remote is None or (parsed := _parsed(remote)) is None:
        return remote
    hops = ",".join(request.headers.getall(FORWARDED, [])).split(",")
    return str(proxies.client(parsed, hops))


def network(address: str | None) -> str:
    """What counts as one caller: an IPv4 address, or the /64 of an IPv6 one, of which each customer has a whole."""
    parsed = _parsed(address or "")
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed)


def _parsed(text: str) -> Address | None:
    """An address as it stands in a header, perhaps with a port; None for what is none."""
    found = re.fullmatch(r"\[(.+)\](?::\d+)?|([^:]+):\d+|(.+)", text.strip())
    try:
        parsed = ip_address((found[1] or found[2] or found[3]).partition("%")[0] if found else "")
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed
