"""What a page without an SDK can send and read."""

from typing import Any

import pytest

from tests.browsers.conftest import Visit


@pytest.fixture
def found(visit: Visit) -> dict[str, Any]:
    return visit.found["fetching"]


def test_a_login_and_the_balance(found: dict[str, Any]) -> None:
    assert found["login"]["apiKey"].startswith("temp_")
    assert found["balance"]["tokensLeft"] == 100_000


def test_a_charge_that_is_repeated(found: dict[str, Any]) -> None:
    first, again = found["replayed"]
    assert first["tokensLeft"] == again["tokensLeft"] == 99_940
    assert first["headers"]["ratelimit-policy"] == '"requests";q=1000;w=60'
    assert again["headers"]["idempotent-replayed"] == "true"


@pytest.mark.parametrize(
    ("case", "status", "words"),
    [
        ("unpaid", 402, "Payment Required"),
        ("wrongMethod", 405, "Method Not Allowed"),
        ("notServed", 404, "Not Found"),
        ("unknownTenant", 400, "Invalid tenant ID"),
        ("redisAway", 503, "Service Unavailable"),
    ],
)
def test_a_refusal(found: dict[str, Any], case: str, status: int, words: str) -> None:
    reply = found[case]
    assert (reply.get("status"), reply.get("error")) == (status, words), reply
    assert reply["headers"]["x-request-id"] == "of-the-page"


def test_a_path_as_browsers_send_it(found: dict[str, Any]) -> None:
    """`/[object%20Object]/balance|`: the head is refused, and the preflight before it is not."""
    assert (found["noTenant"].get("status"), found["noTenant"].get("error")) == (400, "Bad Request")


def test_headers_of_refusals_and_configs(found: dict[str, Any]) -> None:
    assert "GET" in found["wrongMethod"]["headers"]["allow"]
    assert found["redisAway"]["headers"]["retry-after"] == "1"
    assert found["unpaid"]["tokensLeft"] == 100_000
    assert found["config"]["headers"]["etag"]


def test_a_page_of_an_origin_that_is_not_listed(found: dict[str, Any]) -> None:
    assert found["foreignLogin"] == found["foreignBalance"] == "TypeError"


def test_readmes_page(found: dict[str, Any]) -> None:
    *_, [left], [answer] = found["readme"]
    assert answer == "One two three four five."
    assert 0 < int(left.removesuffix(" tokens left")) < 100_000
