"""What a client's user sees when a call is refused, and how often the client asks."""

from contextlib import ExitStack
from typing import Any

import pytest

from tests.clients.clients import CLIENTS, Client
from tests.clients.conftest import Apps
from tests.clients.tenants import app_of
from tests.doubles import Double
from tests.processes import Server

HOUR = {"rate_limit": 1, "rate_limit_window": 3600}
GROUPS: dict[int, dict[str, int]] = {401: {}, 402: {"tokens": 5}, 429: HOUR}
WORDS = {401: "Invalid API key", 402: "This call needs at least", 429: "try again in 3,"}
MOST_AT_429 = 3
"""The AI SDK asks so often, whatever it is told."""


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_refusals(apps: Apps, gateway: Server, double: Double, client: Client) -> None:
    asked = len(double.calls())
    model = client.models["responses"]
    with ExitStack() as tenants:
        found = {
            status: tenants.enter_context(app_of(gateway.url, double, "responses", model, **group))
            for status, group in GROUPS.items()
        }
        assert found[429].user.charge().status_code == 200
        act, prompt = client.acts[0], "Who are you?"
        calls: list[dict[str, Any]] = []
        for status, app in found.items():
            key = "temp_forged" if status == 401 else app.user.api_key
            call = {"base_url": app.base_url, "key": key, "model": model, "prompts": {act: prompt}}
            calls.append(call)
        for (status, app), answer in zip(found.items(), apps.run(client, calls), strict=True):
            assert client.said.get(status, WORDS[status]) in answer[act]["failed"]
            most = MOST_AT_429 if status == 429 else client.attempts
            assert 1 <= len(app.tap.attempts) <= most
    assert len(double.calls()) == asked
