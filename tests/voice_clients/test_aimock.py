"""aimock as the provider: events come in the order that a double of others has, with nothing added
but what is left, though it knows no metadata. It reports that nothing was used, which nobody
believes."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest

from tests.aimock.conftest import Aimock
from tests.api import Api
from tests.endpoints import voice_config
from tests.node import Node
from tests.processes import eventually
from tests.voice_clients.callers import base_url_of, talk, url_of

MODEL = "gpt-realtime"
TEXT: Any = {"type": "realtime", "output_modalities": ["text"]}


@pytest.fixture(scope="module")
def aimock(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimock]:
    with Aimock(node, tmp_path_factory.mktemp("aimock") / "out") as aimock:
        yield aimock


def events(base_url: str, key: str, said: str) -> list[dict[str, Any]]:
    """All that comes, up to the end of the answer to this."""
    client = openai.OpenAI(base_url=base_url, api_key=key)
    found: list[dict[str, Any]] = []
    with client, client.realtime.connect(model=MODEL) as connection:

        def until(kind: str) -> None:
            while not found or found[-1]["type"] != kind:
                found.append(connection.recv().to_dict())

        until("session.created")
        connection.session.update(session=TEXT)
        until("session.updated")
        content: Any = [{"type": "input_text", "text": said}]
        item: Any = {"type": "message", "role": "user", "content": content}
        connection.conversation.item.create(item=item)
        connection.response.create()
        until("response.done")
    return found


def without_ids(found: list[dict[str, Any]]) -> list[Any]:
    """The order, and what was said."""
    return [
        (event["type"], event.get("delta"), event.get("text"), event.get("arguments"))
        for event in found
    ]


@pytest.mark.parametrize("said", ["greeting", "weather"])
def test_the_order_is_the_providers(http: httpx.Client, aimock: Aimock, said: str) -> None:
    user = Api.new_tenant(http, voice_config(aimock.url, model=MODEL)).login()
    direct = events(f"{aimock.url}/v1", uuid4().hex, said)
    relayed = events(base_url_of(user), user.api_key, said)
    assert without_ids(relayed) == without_ids(direct)
    eventually(lambda: user.balance()["tokensHeld"] == 0)
    [entry] = [entry for entry in user.ledger() if entry["op"] == "settle"]
    assert entry["ref"]["estimated"]
    assert entry["ref"]["output"] > 0


def test_a_conversation_of_the_agents_sdk(node: Node, http: httpx.Client, aimock: Aimock) -> None:
    user = Api.new_tenant(http, voice_config(aimock.url, model=MODEL)).login()
    found = talk(node, "agents", url_of(user, MODEL), user.api_key, text="greeting", turns=2)
    assert [response["status"] for response in found["responses"]] == ["completed"] * 2
    assert found["errors"] == []
