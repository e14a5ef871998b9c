"""Request IDs: the caller's X-Request-ID where it is sane, else one of our own."""

import re
from random import getrandbits

_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(given: str | None) -> str:
    if given is not None and _SANE.fullmatch(given):
        return given
    # It must be new, not secret; and Python seeds it anew in each forked worker.
    return f"{getrandbits(96):024x}"
