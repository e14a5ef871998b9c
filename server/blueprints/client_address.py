"""Where a request comes from, for limits by client."""

import logging
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from sanic.compat import Header
from sanic.headers import parse_forwarded
from sanic.request import Request

from server.settings import Settings

log = logging.getLogger(__name__)

ClientNetwork = IPv4Network | IPv6Network

# What proxies add, each by its own custom. One that adds nothing cannot be told from a client.
_OF_PROXIES = (
    *("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "CF-Connecting-IP", "True-Client-IP"),
    *("X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP", "Fly-Client-IP"),
    *("X-Azure-ClientIP", "X-Envoy-External-Address", "X-Forwarded-Host", "X-Forwarded-Proto"),
)
# IPv6 addresses that end in the IPv4 address which they stand for: translated by NAT64 (RFC 6052,
# and for a network's own use RFC 8215), or by SIIT.
_END_IN_IPV4 = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("::ffff:0:0:0/96"),
)
# A value without the quotes that RFC 7239 wants around an IPv6 address, or around a port.
_UNQUOTED_FOR = re.compile(r"""((?:^|[;,\s])for=)([^\s";,]+)""", re.IGNORECASE)
_warned: set[str] = set()


def client_network(request: Request, settings: Settings) -> ClientNetwork | None:
    """What one client can choose its addresses from: an IPv4 address, as /32, or an IPv6 /64.

    None if it is not to be limited. Behind a proxy that is not declared, every peer is the proxy:
    loopback peers are exempt then, so that a development proxy does not lock everyone out, and the
    log says so once.
    """
    peer = _parse(request.ip)
    if settings.proxies_count or settings.forwarded_secret:
        address = _parse(_told_by_proxy(request))
        if address is None:
            _warn_once("A declared proxy has told no client's address: its own is limited")
        return _network(address or peer)
    for name in _OF_PROXIES:
        if name in request.headers:
            _warn_once(
                "A request carries %s, but neither PROXIES_COUNT nor FORWARDED_SECRET is set: "
                "clients share the limits of the proxy's address, and on this machine it has none",
                name,
            )
            break
    return None if peer is not None and peer.is_loopback else _network(peer)


def _told_by_proxy(request: Request) -> str:
    """What a declared proxy says of the client, '' if it says nothing."""
    given = request.headers.getall("forwarded", None)
    if given:
        quoted = _UNQUOTED_FOR.sub(r'\1"\2"', ",".join(given))
        found = parse_forwarded(Header({"forwarded": quoted}), request.app.config)
        if found:
            return str(found.get("for", ""))
    return request.remote_addr


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address, maybe in quotes or brackets, with a port or a zone; None if it is none."""
    text = text.strip(' "')
    for candidate in (text, text.rpartition(":")[0]):
        try:
            address = ip_address(candidate.strip("[]").partition("%")[0])
        except ValueError:
            continue
        # So a system that listens on both writes an IPv4 peer.
        return getattr(address, "ipv4_mapped", None) or address
    return None


def _network(address: IPv4Address | IPv6Address | None) -> ClientNetwork | None:
    if isinstance(address, IPv6Address):
        address = _ipv4_inside(address) or address
    if isinstance(address, IPv6Address):
        # One subscriber has a whole /64.
        return IPv6Network((address, 64), strict=False)
    return None if address is None else IPv4Network(address)


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that one of another network comes from: else whoever has it would have
    65,536 networks (6to4), or share one with many others."""
    if address.teredo:
        return address.teredo[1]
    if any(address in network for network in _END_IN_IPV4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


def _warn_once(text: str, *values: str) -> None:
    if text not in _warned:
        _warned.add(text)
        log.warning(text, *values)
