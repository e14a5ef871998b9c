"""Origins as tenants list them: compared with what browsers send, letter by letter, so one that no
browser sends would lock every page out.

Source: https://html.spec.whatwg.org/multipage/browsers.html#ascii-serialisation-of-an-origin
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

# What browsers send for pages that have no origin of their own, and Android's for its own files.
_OTHERS = ("null", "file://")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_NO_PAGES = ("about", "blob", "data", "ftp", "javascript", "ws", "wss")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_NAME = re.compile(r"(?!.{254})[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# Browsers take a name whose last part is a number for an IPv4 address, and write it as one.
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def fault_of_origin(origin: str) -> str | None:
    """Why no browser sends this as its `Origin`; None if one may."""
    if origin in _OTHERS:
        return None
    if not re.fullmatch(r"[\x21-\x7e]+", origin):
        return "must be visible ASCII without spaces; other letters of a name as xn--..."
    if origin == "*":
        return "`*` matches no page: leave allowed_origins out, and any may call"
    if "*" in origin:
        return "has a wildcard, and each origin is compared as it is: list them all"
    scheme, separator, rest = origin.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        return "has no scheme: https://app.example.com, or http://localhost:5173"
    # Of other schemes, as of extensions and apps, browsers take hosts as they are: Safari's have
    # capitals, Electron's may be a dot.
    spelled = origin if scheme.lower() in _DEFAULT_PORTS else scheme
    if spelled != spelled.lower():
        return f"has capitals, and browsers send {spelled.lower()[:200]}"
    if scheme in _NO_PAGES:
        return f"no page has the scheme {scheme}"
    return _fault_of_host(scheme, rest)


def _fault_of_host(scheme: str, rest: str) -> str | None:
    """`rest` is what follows the scheme."""
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if rest == authority + "/":
        return "ends in a slash, which browsers do not send"
    if rest != authority:
        return f"has a path: only scheme, host and port are sent, {scheme}://{authority[:200]}"
    if "@" in authority:
        return "has a user, which browsers do not send"
    host, colon, port = re.fullmatch(r"(\[.*\]|[^:]*)(:?)(.*)", authority).groups()  # type: ignore[union-attr]
    if colon and (not _PORT.fullmatch(port) or int(port) > 65535):
        return "has a port that is none: 1 to 65535, without zeros before it"
    if not colon and port:
        return "has no host that there could be"
    if _DEFAULT_PORTS.get(scheme) == port:
        return f"has the default port {port}, which browsers leave out"
    can_be = is_host(host) if scheme in _DEFAULT_PORTS else host
    return None if can_be else "has no host that there could be, as browsers write it"


def is_host(host: str) -> bool:
    """Is it a host as browsers write it: lower case, an IPv6 address in brackets?"""
    try:
        if host.startswith("["):
            return "%" not in host and f"[{IPv6Address(host[1:-1])}]" == host
        if _NUMBER_LAST.fullmatch(host):
            return str(IPv4Address(host)) == host
    except AddressValueError:
        return False
    return _NAME.fullmatch(host) is not None
