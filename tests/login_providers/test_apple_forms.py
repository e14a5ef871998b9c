"""Forms that are posted as if by Apple's page."""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

from server.blueprints.body import SMALL_BYTES
from tests.login_providers.signing import App
from tests.login_providers.trip import (
    Trip,
)

FORM = "application/x-www-form-urlencoded"


def forms(given: dict[str, str]) -> Iterator[tuple[str, bytes | str, str, int]]:
    """Name, body, content type and the status of the answer."""
    good = urlencode(given)
    yield "the state twice", f"{good}&state=x", FORM, 400
    yield "the same state twice", f"{good}&{urlencode({'state': given['state']})}", FORM, 400
    yield "the code twice", f"{good}&code=x", FORM, 400
    yield "the user twice", f"{good}&user=%7B%7D&user=%7B%7D", FORM, 400
    yield "many fields", good + "".join(f"&f{number}=" for number in range(30)), FORM, 400
    yield "a field that is no UTF-8", f"{good}&user=%ff%fe", FORM, 400
    yield "a body that is no UTF-8", good.encode() + b"&user=\xff\xfe", FORM, 400
    yield "UTF-8 that is not escaped", f"{good}&user=é".encode(), FORM, 400
    yield "JSON", json.dumps(given), "application/json", 400
    yield "no type", good, "", 400
    yield "text", good, "text/plain", 400
    yield "parts", good, "multipart/form-data; boundary=x", 400
    yield "a user that is no JSON", f"{good}&user=Ada", FORM, 400
    yield "half a user", f"{good}&user=%7B%22name%22", FORM, 400
    yield "a deep user", f"{good}&user={'[' * 4_000}", FORM, 400
    yield (
        "a user of 100 KiB",
        good + "&" + urlencode({"user": '"' + "a" * 102_400 + '"'}),
        FORM,
        413,
    )
    yield "a body of 1 MiB", good + "&user=" + "a" * 1_048_576, FORM, 413
    yield "a little too much", good.ljust(SMALL_BYTES + 1, "&"), FORM, 413


def test_forms_of_apples_that_are_none(site: App) -> None:
    trip = Trip(site.api, "apple")
    given = trip.agree()
    url = f"/{site.api.tenant_id}/auth/apple/callback"
    for name, body, kind, status in forms(given):
        headers = {"content-type": kind} if kind else {}
        reply = site.api.client.post(url, content=body, headers=headers)
        assert reply.status_code == status, name
        assert "location" not in reply.headers
    # In chunks, without a length.
    chunks = (piece for piece in [urlencode(given).encode(), b"&user=" + b"a" * 9_000])
    assert (
        site.api.client.post(url, content=chunks, headers={"content-type": FORM}).status_code == 413
    )
    assert site.api.client.post(url).status_code == 400
    assert site.api.client.get(url, params=given).status_code == 405
    # None of them has used the state up.
    assert trip.at_app(trip.come_back(given)).keys() == {"code"}
