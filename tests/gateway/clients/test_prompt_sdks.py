"""The official SDKs ask for server prompts, as an app would write it."""

import json
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.api import User
from tests.doubles import Answer, Double, Tool
from tests.gateway.asking import PROTOCOLS, turns
from tests.gateway.prompts import GIVEN, PROMPTS, RICH, SECRET, prompting

TEXT = "One two three four five."
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
WITH_TOOLS: dict[str, dict[str, Any]] = {
    "haiku": {**PROMPTS["haiku"], "tools": [{"type": "function", "function": FUNCTION}]},
    "chat": PROMPTS["chat"],
}


@pytest.fixture(params=PROTOCOLS)
def user(client: httpx.Client, double: Double, request: pytest.FixtureRequest) -> User:
    """Of a group that may do nothing else."""
    groups = {"anonymous": {**RICH, "prompts_only": True}}
    return prompting(client, double.url, request.param, WITH_TOOLS, groups=groups)


def test_openais(user: User, double: Double) -> None:
    url = f"{user.api.client.base_url}/{user.api.tenant_id}/v1"
    with openai.OpenAI(base_url=url, api_key=user.api_key, max_retries=0) as sdk:
        create: Any = sdk.chat.completions.create
        found = create(model="prompt/haiku", messages=[], metadata=GIVEN)
        assert (found.choices[0].message.content, found.model) == (TEXT, "prompt/haiku")
        with create(
            model="prompt/haiku", messages=[], extra_body={"variables": GIVEN}, stream=True
        ) as chunks:
            said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert "".join(said) == TEXT
        double.script("call", Answer(pieces=(), tools=(Tool("f", {"a": 1}),)))
        found = create(model="prompt/haiku", messages=[], metadata={**GIVEN, "topic": "#call"})
        (call,) = found.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("f", {"a": 1})
        history: Any = turns("Hi")
        for _ in range(2):
            answer = create(model="prompt/chat", messages=history).choices[0].message
            history = [*history, answer, *turns("Ho")]
        assert SECRET in str(double.calls()[-1].body)
        with pytest.raises(openai.PermissionDeniedError):
            create(model="real-model", messages=turns("Hi"))
        assert {model.id for model in sdk.models.list()} == {"prompt/haiku", "prompt/chat"}


def test_anthropics(user: User, double: Double) -> None:
    url = f"{user.api.client.base_url}/{user.api.tenant_id}"
    with anthropic.Anthropic(base_url=url, auth_token=user.api_key, max_retries=0) as sdk:
        create: Any = sdk.messages.create
        asked: dict[str, Any] = {"model": "prompt/haiku", "max_tokens": 99, "messages": []}
        body = {"variables": GIVEN}
        found = create(**asked, extra_body=body)
        assert (found.content[0].text, found.model) == (TEXT, "prompt/haiku")
        with sdk.messages.stream(**asked, extra_body=body) as stream:
            assert stream.get_final_text() == TEXT
        double.script("call", Answer(pieces=(), tools=(Tool("f", {"a": 1}),)))
        topic = {"variables": {**GIVEN, "topic": "#call"}}
        with sdk.messages.stream(**asked, extra_body=topic) as stream:
            blocks: Any = stream.get_final_message().content
        (block,) = blocks
        assert (block.type, block.name, block.input) == ("tool_use", "f", {"a": 1})
        history: Any = turns("Hi")
        for _ in range(2):
            answer = create(model="prompt/chat", max_tokens=9, messages=history)
            history = [*history, {"role": "assistant", "content": answer.content}, *turns("Ho")]
        assert SECRET in str(double.calls()[-1].body)
        with pytest.raises(anthropic.PermissionDeniedError):
            create(model="real-model", max_tokens=9, messages=turns("Hi"))
        assert {model.id for model in sdk.models.list()} == {"prompt/haiku", "prompt/chat"}
