"""The SDKs of JavaScript through the gateway to aimock."""

import json
from typing import Any

import pytest

from tests.aimock import GREETING, GREETING_TOKENS
from tests.aimock.conftest import Aimock
from tests.gateway.sdks import PROTOCOLS, Sdks, sdks_at
from tests.node import Node
from tests.processes import Server


def run(node: Node, sdks: Sdks, name: str) -> dict[str, Any]:
    base_url = sdks.base_url + ("/v1" if name == "openai" else "")
    printed = node.run(["node", "sdks.mjs", name, base_url, sdks.user.api_key])
    return dict(json.loads(printed))


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_completion_and_a_stream(
    node: Node, gateway: Server, aimock: Aimock, name: str, protocol: str
) -> None:
    with sdks_at(gateway.url, aimock.url, protocol) as sdks:
        counts = {"input": 41, "output": 17}
        assert run(node, sdks, name) == {"text": GREETING, "streamed": GREETING, **counts}
        sdks.assert_charged(2 * GREETING_TOKENS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_402_is_one_attempt(node: Node, gateway: Server, aimock: Aimock, name: str) -> None:
    with sdks_at(gateway.url, aimock.url, group={"tokens": 5}) as sdks:
        assert run(node, sdks, name)["status"] == 402
        assert len(sdks.tap.attempts) == 1
        sdks.assert_charged(0)
