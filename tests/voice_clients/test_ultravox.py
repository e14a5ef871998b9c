"""Ultravox' own client joins a call that was made through the server, as far as its socket."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.api import Api, config
from tests.doubles.ultravox import UltravoxDouble
from tests.node import Node

API_KEY = "key-of-the-tenant"


@pytest.fixture(scope="module")
def ultravox() -> Iterator[UltravoxDouble]:
    with UltravoxDouble() as double:
        yield double


def test_the_join_url_works(node: Node, http: httpx.Client, ultravox: UltravoxDouble) -> None:
    endpoint = {"url": f"{ultravox.url}/api/calls", "api_key": API_KEY, "protocol": "ultravox"}
    group = {"tokens": 100_000, "rate_limit": 100, "rate_limit_window": 60}
    realtime = {"endpoints": {"calls": endpoint}, "default": "calls"}
    value = config(anonymous=group) | {"providers": {"realtime": realtime}}
    user = Api.new_tenant(http, value).login()
    reply = user.api.post("/realtime/calls", {}, user.headers)
    assert reply.status_code == 201, reply.text
    flags = ["--experimental-websocket", "--no-warnings"]
    found = json.loads(node.run(["node", *flags, "join.mjs", reply.json()["joinUrl"]]))
    assert found["status"] == "connecting"
    assert set(found["told"]) == {"type", "roomUrl", "token"}
    [call] = ultravox.calls(API_KEY)
    assert call.call_id == reply.json()["callId"]
    assert str(call.client_version).startswith("web_")
    assert call.end_reason == "hangup"
