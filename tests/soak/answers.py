"""What the double answers in the soak, by key, and how it is reached."""

from typing import NamedTuple

from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config

QUICK, LONG, SLOW = "quick", "long", "slow"

_ANSWERS = {
    QUICK: Answer(),
    LONG: Answer(pieces=["word "] * 40, pause=0.01),
    SLOW: Answer(delay=0.3),
}
_FAULTS = {
    "status-400": Answer(status=400),
    "status-500": Answer(status=500),
    "status-429": Answer(status=429, headers={"retry-after": "1"}),
    "cut-early": Answer(cut_at=0),
    "cut-later": Answer(pieces=["word "] * 20, cut_at=10),
    "error-event": Answer(error_at=3),
    "no-usage": Answer(usage="absent"),
    "bad-usage": Answer(malformed=-1),
    "endless": Answer(ignore_limit=True, pause=0.001),
    "no-json": Answer(raw_body=b"<html>"),
}
WRONG = list(_FAULTS)

GROUP = {"tokens": 1_000, "rate_limit": 10_000, "rate_limit_window": 1}


class Path(NamedTuple):
    """Where a protocol's chats are posted; also the name of the endpoint that speaks it."""

    name: str
    path: str


PATHS = (Path("openai", "/v1/chat/completions"), Path("anthropic", "/v1/messages"))


def script(double: Double) -> None:
    for key, answer in (_ANSWERS | _FAULTS).items():
        double.script(key, answer)


def config(double: Double) -> dict[str, object]:
    """Of the tenant: an endpoint of each protocol, the same double behind both."""
    endpoints = {path.name: endpoint(double.url, path.name) for path in PATHS}
    return text_config(endpoints, anonymous=GROUP)
