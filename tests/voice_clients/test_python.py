"""OpenAI's SDK for Python."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.voice_clients.callers import Caller
from tests.voice_clients.checks import was_charged_as_reported, was_cut_off

TOKENS = 500


@contextmanager
def connected(caller: Caller, key: str = "") -> Iterator[Any]:
    client = openai.OpenAI(base_url=caller.base_url, api_key=key or caller.user.api_key)
    with client, client.realtime.connect(model=caller.model) as connection:
        yield connection


class Conversation:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.found: dict[str, Any] = {"responses": [], "balances": [], "errors": [], "kinds": []}

    def turn(self) -> None:
        self.connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Hello"}],
            }
        )
        self.connection.response.create()
        turns = len(self.found["balances"]) + 1
        while len(self.found["balances"]) < turns:
            self._take(self.connection.recv().to_dict())

    def turns_without_end(self) -> None:
        while True:
            self.turn()

    def _take(self, event: dict[str, Any]) -> None:
        self.found["kinds"].append(event["type"])
        if event["type"] == "response.done":
            self.found["responses"].append(event["response"])
        elif event["type"] == "rate_limits.updated":
            self.found["balances"].append(event["rate_limits"][0]["remaining"])
        elif event["type"] == "error":
            self.found["errors"].append(event["error"]["code"])


def test_a_conversation(caller: Caller) -> None:
    with connected(caller) as connection:
        conversation = Conversation(connection)
        for _ in range(3):
            conversation.turn()
    was_charged_as_reported(caller, conversation.found, 100_000)
    assert "response.output_audio.delta" in conversation.found["kinds"]


def test_until_the_balance_is_used_up(new_caller: Callable[..., Caller]) -> None:
    caller = new_caller(TOKENS)
    with connected(caller) as connection:
        conversation = Conversation(connection)
        with pytest.raises(ConnectionClosed) as closed:
            conversation.turns_without_end()
    assert closed.value.rcvd is not None
    closing = {"code": closed.value.rcvd.code, "reason": closed.value.rcvd.reason}
    was_cut_off(caller, conversation.found | {"closed": closing}, TOKENS)


@pytest.mark.parametrize(
    ("key", "model", "status"), [("temp_forged", "", 401), ("", "no-such-model", 404)]
)
def test_a_refusal(caller: Caller, key: str, model: str, status: int) -> None:
    begun = caller.double.handshakes
    caller = caller._replace(model=model or caller.model)
    with pytest.raises(InvalidStatus) as refused, connected(caller, key):
        pass
    assert refused.value.response.status_code == status
    assert caller.double.handshakes == begun


def test_the_beta_is_refused(caller: Caller) -> None:
    base = caller.base_url.replace("http", "ws", 1)
    client = openai.OpenAI(
        base_url=caller.base_url, websocket_base_url=base, api_key=caller.user.api_key
    )
    with (
        pytest.raises(InvalidStatus) as refused,
        client,
        client.beta.realtime.connect(model=caller.model),
    ):
        pass
    assert refused.value.response.status_code == 400
    assert b"beta_api_shape_disabled" in refused.value.response.body
