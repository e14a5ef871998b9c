"""Addresses: which of them an upstream may have, and what is wrong with an upstream's URL.

Whoever writes a tenant's config must not be able to make this server call its own neighbours.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from urllib.parse import SplitResult, urlsplit

from server.upstream.names import LOOK_UPS_OF_A_TENANT, Names

LONGEST_URL = 2048
LOOK_UP_SECONDS = 2.0

_NOT_PUBLIC = "must not have a private, local or reserved address"

# IANA's special-purpose registry, and multicast. The tables of `ipaddress` change with Python's
# patch releases, and count some of these as global.
_RESERVED_IPV4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # between a carrier and its customers; some clouds' metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, which looks public
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_RESERVED_IPV6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address, reached by way of somebody's relay
        "2620:4f:8000::/48",
        "3ffe::/16",
        "3fff::/20",
    )
]
# The networks that stand for IPv4 and are in use: written by the system (mapped), and made by the
# DNS of networks without IPv4 (NAT64).
_IPV4_INSIDE = [IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")]

_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_IN_BRACKETS = re.compile(r"\[([0-9a-fA-F:.]+)\](:[0-9]*)?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(address: str) -> bool:
    """Whether an IPv4 or IPv6 address is one of the public internet; false if it is none at all."""
    try:
        return _is_public_ipv6(IPv6Address(address)) if ":" in address else _is_public_ipv4(address)
    except AddressValueError:
        return False


def _is_public_ipv4(address: str | int) -> bool:
    parsed = IPv4Address(address)
    return not any(parsed in network for network in _RESERVED_IPV4)


def _is_public_ipv6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    if any(address in network for network in _IPV4_INSIDE):
        return _is_public_ipv4(int(address) & 0xFFFF_FFFF)
    return address in _GLOBAL_IPV6 and not any(address in network for network in _RESERVED_IPV6)


def fault_of_url(url: str, allow_private: bool) -> str | None:
    """What is wrong with an upstream's URL as it is written, None if nothing is.

    `allow_private` allows http and any address.
    """
    if len(url) > LONGEST_URL:
        return f"must not be longer than {LONGEST_URL} characters"
    if " " in url or "\\" in url or not url.isprintable():
        return "must not contain spaces, control characters or backslashes"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a valid URL"
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not allow_private):
        return (
            "must begin with https:// or http://" if allow_private else "must begin with https://"
        )
    if "@" in parts.netloc:
        return "must not contain a user or password"
    if port == 0:
        return "must not have port 0"
    return _fault_of_host_name(parts, allow_private)


def _fault_of_host_name(parts: SplitResult, allow_private: bool) -> str | None:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        return _fault_of_ipv6(parts.netloc, allow_private)
    try:
        name = _ascii(host).removesuffix(".")
    except UnicodeError:
        return "must have a valid host"
    if not _HOST.fullmatch(name):
        return "must have a valid host"
    last = name.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        return _fault_of_ipv4(name, allow_private)
    return None if allow_private or last != "localhost" else _NOT_PUBLIC


def _fault_of_ipv6(netloc: str, allow_private: bool) -> str | None:
    # Not all releases of urllib look at what is inside and behind the brackets.
    found = _IN_BRACKETS.fullmatch(netloc)
    try:
        address = str(IPv6Address(found[1] if found else ""))
    except AddressValueError:
        return "must have a valid host"
    return None if allow_private or is_public(address) else _NOT_PUBLIC


def _fault_of_ipv4(text: str, allow_private: bool) -> str | None:
    """The fault of a host that ends in a number, which is never a name (WHATWG URL, 3.5)."""
    try:
        IPv4Address(text)
    except AddressValueError:
        # Resolvers read 127.1, 0177.0.0.1 and 2130706433 as addresses; our client does not.
        return "must have an IPv4 address as four decimal numbers"
    return None if allow_private or is_public(text) else _NOT_PUBLIC


def _ascii(host: str) -> str:
    """As resolvers take it: other alphabets' digits and dots become ours. Raises UnicodeError."""
    return host.encode("idna").decode().lower()


async def fault_of_host(url: str, tenant_id: str, names: Names) -> str | None:
    """What is wrong with the addresses of a valid URL's host; looks them up, for 2 s at most.

    Nothing is wrong with a name that does not resolve in this time: it may later, and whoever
    connects checks again.
    """
    host = _ascii(urlsplit(url).hostname or "")
    try:
        found = await names.find(host, tenant_id, LOOK_UP_SECONDS)
    except (OSError, UnicodeError):
        return None
    return None if all(is_public(str(address[0])) for address in found) else _NOT_PUBLIC


async def faults_of_urls(
    urls: Mapping[str, str], tenant_id: str, names: Names, allow_private: bool
) -> dict[str, str]:
    """The faults of those of these named URLs that have one. Their hosts are looked up some at a
    time; those whose turn does not come within 2 s are as good as those that do not resolve.

    `allow_private` as above; nothing is looked up then.
    """
    faults = {name: fault_of_url(url, allow_private) for name, url in urls.items()}
    valid = {name: url for name, url in urls.items() if faults[name] is None}
    if not allow_private:
        of_host = {urlsplit(url).hostname: url for url in valid.values()}
        looked_up = await _look_up(of_host, tenant_id, names)
        faults |= {name: looked_up.get(urlsplit(url).hostname) for name, url in valid.items()}
    return {name: fault for name, fault in faults.items() if fault is not None}


async def _look_up(
    of_host: Mapping[str | None, str], tenant_id: str, names: Names
) -> dict[str | None, str | None]:
    """The faults by host, as far as they are known after 2 s."""
    faults: dict[str | None, str | None] = {}
    waiting = iter(of_host.items())

    async def take_turns() -> None:
        for host, url in waiting:
            faults[host] = await fault_of_host(url, tenant_id, names)

    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_UP_SECONDS):
            await asyncio.gather(*(take_turns() for _ in range(LOOK_UPS_OF_A_TENANT)))
    return faults
