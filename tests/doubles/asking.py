"""What is said to a double over HTTP. Without a library that only tests have: `make demo` runs the
doubles, too."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_SECONDS = 30


def ask(url: str, body: object) -> Any:
    """What a POST is answered, as JSON; the test fails where it is refused."""
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=_SECONDS) as reply:
            return json.loads(reply.read())
    except HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from None
