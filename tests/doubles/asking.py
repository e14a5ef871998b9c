"""What is said to a double over HTTP. Without a library that only tests have: `make demo` runs the
doubles, too."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_SECONDS = 30


def ask(url: str, body: object, **headers: str) -> Any:
    """What a POST of JSON, or of a form's bytes, is answered; the test fails if it is refused."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = Request(url, data, headers)
    try:
        with urlopen(request, timeout=_SECONDS) as reply:
            return json.loads(reply.read())
    except HTTPError as error:
        raise AssertionError(f"{url}: {error.read().decode()}") from None
