"""OpenAI's SDK, its Agents SDK and a plain WebSocket, in Node."""

from collections.abc import Callable

import pytest

from tests.node import Node
from tests.voice_clients.callers import Caller, talk
from tests.voice_clients.checks import was_charged_as_reported, was_cut_off, was_said

# The Agents SDK has the key in a header in Node, and offers no subprotocol.
PROTOCOLS = {"agents": "", "openai": "realtime", "socket": "realtime"}
TOKENS = 500


@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_conversation(node: Node, caller: Caller, client: str) -> None:
    found = talk(node, client, caller.url, caller.user.api_key, turns=2)
    was_said(found, 2)
    assert found["protocol"] == PROTOCOLS[client]
    assert found["errors"] == []
    was_charged_as_reported(caller, found, 100_000)


@pytest.mark.parametrize("client", PROTOCOLS)
def test_until_the_balance_is_used_up(
    node: Node, new_caller: Callable[..., Caller], client: str
) -> None:
    caller = new_caller(TOKENS)
    found = talk(node, client, caller.url, caller.user.api_key)
    was_cut_off(caller, found, TOKENS)


@pytest.mark.parametrize("client", PROTOCOLS)
def test_a_wrong_key_reaches_no_provider(node: Node, caller: Caller, client: str) -> None:
    begun = caller.double.handshakes
    found = talk(node, client, caller.url, "temp_forged")
    assert found.get("threw") or found["closed"]["code"] == 1006
    assert found["kinds"] == []
    assert caller.double.handshakes == begun
