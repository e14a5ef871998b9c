"""The addresses of an app that a login may go back to: compared letter by letter, never by a rule,
so that nobody gets a login's code sent to an address of their own.

Source: RFC 8252, 7.1 and 7.3, and https://developer.android.com/guide/components/intents-common
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import urlencode, urlsplit

from server.tenants.origins import is_host

LONGEST_REDIRECT = 500

_ADDRESS = re.compile(r'(?:(?!["<>\\^`{|}])[\x21-\x7e])+')
_NOT_WRITTEN_SO = "must be visible ASCII of an address: others as %..., those of a host as xn--..."
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_INTENT = re.compile(r"intent:[^#]*#Intent;[^#]*;end")
_AT_ANY_PORT = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\])):([1-9][0-9]{0,4})([/?].*)?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def fault_of_redirect(address: str) -> str | None:
    """Why no login may go back to this; None if it may."""
    if not _ADDRESS.fullmatch(address):
        return _NOT_WRITTEN_SO
    scheme, colon, rest = address.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        return "has no scheme: https://app.example.com/signed-in"
    if scheme == "intent":
        return None if _INTENT.fullmatch(address) else "must end in #Intent;...;end"
    if "#" in address:
        return "has a fragment, which cannot be told from what is added"
    if scheme in ("https", "http"):
        return fault_of_web_address(address)
    if "." not in scheme.strip("."):
        return "must be https, http of this machine, or have a scheme with a dot: com.example.app:/"
    if rest.startswith("//") and "@" in re.split("[/?]", rest[2:], maxsplit=1)[0]:
        return "must not contain a user or password"
    return None


def fault_of_web_address(address: str) -> str | None:
    """What is wrong with an https address, or an http one of the machine that shows the page."""
    if not _ADDRESS.fullmatch(address):
        return _NOT_WRITTEN_SO
    try:
        parts = urlsplit(address)
    except ValueError:
        return "is not a valid address"
    if parts.scheme not in ("https", "http") or not address.startswith(f"{parts.scheme}://"):
        return "must begin with https://"
    if "@" in parts.netloc:
        return "must not contain a user or password"
    host, colon, port = re.fullmatch(r"(\[.*\]|[^:]*)(:?)(.*)", parts.netloc).groups()  # type: ignore[union-attr]
    if (colon or port) and not (_PORT.fullmatch(port) and int(port) <= 65_535):
        return "has a port that is none"
    if not is_host(host):
        return "has no host that there could be, as browsers write it"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "must begin with https://, as it is not of localhost, 127.0.0.1 or [::1]"
    return None


def may_go_back_to(address: str, listed: Collection[str]) -> bool:
    """Whether a login may go back to `address` by a tenant's list.

    Of http at 127.0.0.1 and [::1] one that is listed without a port stands for each port: a program
    on the person's machine takes a free one, and no other machine is there to be sent to. What a
    name such as localhost leads to is not as sure.
    """
    if address in listed:
        return True
    found = _AT_ANY_PORT.fullmatch(address)
    return found is not None and int(found[2]) <= 65_535 and found[1] + (found[3] or "") in listed


def with_answer(address: str, answer: Mapping[str, str]) -> str:
    """The address, with what a login has come to; of an intent before what is for Android."""
    base, hash, rest = address.partition("#")
    return f"{base}{'&' if '?' in base else '?'}{urlencode(answer)}{hash}{rest}"
