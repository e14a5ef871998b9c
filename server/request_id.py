"""Request IDs: the caller's X-Request-ID where it is sane, else one of our own."""

import re
from secrets import token_hex

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(given: str | None) -> str:
    if given is not None and _SANE.fullmatch(given):
        return given
    return token_hex(12)
