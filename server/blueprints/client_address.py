"""Where a request comes from, for limits by client."""

import logging
from functools import cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from sanic.request import Request

from server.settings import Settings

log = logging.getLogger(__name__)

ClientNetwork = IPv4Network | IPv6Network


def client_network(request: Request, settings: Settings) -> ClientNetwork | None:
    """What one client can choose its addresses from: an IPv4 address, as /32, or an IPv6 /64.

    None if it is not to be limited. Behind a proxy that is not declared, every peer is the proxy:
    loopback peers are exempt then, so that a development proxy does not lock everyone out, and the
    log says so once.
    """
    behind_proxy = bool(settings.proxies_count or settings.forwarded_secret)
    if not behind_proxy and "x-forwarded-for" in request.headers:
        _warn_of_proxy()
    for text in (request.remote_addr if behind_proxy else "", request.ip):
        try:
            # Sanic writes an IPv6 address that a proxy tells of in brackets.
            address = ip_address(text.strip("[]"))
        except ValueError:
            continue
        if address.is_loopback and not behind_proxy:
            return None
        if isinstance(address, IPv6Address):
            if address.ipv4_mapped:
                return IPv4Network(address.ipv4_mapped)
            # One subscriber has a whole /64 to choose addresses from.
            return IPv6Network((address, 64), strict=False)
        return IPv4Network(address)
    return None


@cache
def _warn_of_proxy() -> None:
    log.warning(
        "A request carries X-Forwarded-For, but neither PROXIES_COUNT nor FORWARDED_SECRET is set: "
        "limits are by the address of the proxy"
    )
