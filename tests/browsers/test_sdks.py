"""What the official SDKs do in a browser is what they do elsewhere."""

from typing import Any

import pytest

from tests.browsers.conftest import Visit
from tests.processes import eventually

SDKS = ("openai", "anthropic")
TEXT = "One two three four five."
TOKENS = 25
"""What the double reports of it, input and output."""
REQUEST_ID = "of-the-page"

pytestmark = pytest.mark.parametrize("sdk", SDKS)


def test_models(visit: Visit, sdk: str) -> None:
    assert visit.found[sdk]["models"] == ["openai-model"]
    assert visit.found[sdk]["listedOrigin"] == ["openai-model"]


def test_a_whole_answer(visit: Visit, sdk: str) -> None:
    found = visit.found[sdk]["whole"]
    left = int(found.pop("left"))
    assert found == {"text": TEXT, "requestId": REQUEST_ID, "charged": str(TOKENS)}
    assert left < 100_000


def test_a_streamed_answer(visit: Visit, sdk: str) -> None:
    found = visit.found[sdk]["streamed"]
    assert found == {"text": TEXT, "requestId": REQUEST_ID, "tokens": TOKENS}


def test_a_stream_that_is_aborted(visit: Visit, sdk: str) -> None:
    assert 5 <= visit.found[sdk]["aborted"] < 100
    calls = visit.double.calls("endless")
    assert len(calls) == len(SDKS)
    eventually(lambda: all(call.ended for call in calls))
    assert all(call.peer_gone and call.steps < 5000 for call in calls)
    eventually(lambda: visit.user.balance()["tokensHeld"] == 0)


@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("wrongKey", 401, "Invalid API key"),
        ("unpaid", 402, ""),
        ("noModel", 404, "no text provider"),
        ("notServed", 404, ""),
        ("unknownTenant", 400, "Invalid tenant ID"),
        ("limited", 429, ""),
        ("redisAway", 503, "Service Unavailable"),
    ],
)
def test_a_refusal(visit: Visit, sdk: str, case: str, status: int, words: str) -> None:
    found: dict[str, Any] = visit.found[sdk][case]
    assert found.get("status") == status, found
    assert found["body"], found
    assert words in found["message"]
    assert found["requestId"] == REQUEST_ID


def test_when_to_come_back_and_what_is_of_no_use(visit: Visit, sdk: str) -> None:
    found = visit.found[sdk]
    assert 3000 < int(found["limited"]["retryAfter"]) <= 3600
    assert int(found["redisAway"]["retryAfter"]) == 1
    assert found["unpaid"]["shouldRetry"] == "false"
