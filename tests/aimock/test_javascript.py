"""The SDKs of JavaScript through the gateway to aimock."""

import json
import subprocess
from typing import Any

import pytest

from tests.aimock.conftest import Aimock
from tests.aimock.node import GREETING, GREETING_TOKENS, Node
from tests.gateway.sdks import PROTOCOLS, Sdks, sdks_at
from tests.processes import Server

SECONDS = 60


def run(node: Node, sdks: Sdks, name: str) -> dict[str, Any]:
    base_url = sdks.base_url + ("/v1" if name == "openai" else "")
    command = ["node", "sdks.mjs", name, base_url, sdks.user.api_key]
    done = subprocess.run(
        command, cwd=node.folder, env=node.env, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


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
