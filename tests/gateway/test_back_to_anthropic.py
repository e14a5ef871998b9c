"""An answer that a fallback of OpenAI's protocol gave does not spoil the conversation for the
endpoint of Anthropic's that comes back after it."""

from typing import Any

import httpx
import pytest

from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import PATHS, turns, user_at, user_of
from tests.gateway.conversations import TOOLS, a_call, answering, content_of, conversation

CALLS = [a_call("call_1")]
BLANK = "\n\n"
ENABLED = {"thinking": {"type": "enabled", "budget_tokens": 50}}
DISABLED = {"thinking": {"type": "disabled"}}
# What the fallback says, what the next turn asks for, and what of the answer and of that is sent.
ANSWERS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str], dict[str, Any]]] = {
    "blanks": ({"content": BLANK}, {}, [], {}),
    "blanks before a call": ({"content": BLANK, "tool_calls": CALLS}, {}, ["tool_use"], {}),
    "nothing": ({"content": ""}, {}, [], {}),
    "reasoning and blanks": ({"reasoning_content": "Hm.", "content": " "}, {}, [], {}),
    "text": ({"content": "Yes.\n"}, ENABLED, ["text"], ENABLED),
    "a call without thoughts": ({"tool_calls": CALLS}, ENABLED, ["tool_use"], DISABLED),
    "text and a call": (
        {"content": "I look.", "tool_calls": CALLS},
        ENABLED,
        ["text", "tool_use"],
        DISABLED,
    ),
    "a call with thoughts": (
        {"reasoning_content": "Hm.", "tool_calls": CALLS},
        ENABLED,
        ["tool_use"],
        DISABLED,
    ),
    "a call, thinking when it likes": (
        {"tool_calls": CALLS},
        {"thinking": {"type": "adaptive"}},
        ["tool_use"],
        {"thinking": {"type": "adaptive"}},
    ),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("case", ANSWERS)
def test_a_conversation_goes_on(
    client: httpx.Client, double: Double, case: str, streamed: bool
) -> None:
    message, asked, kinds, thinking = ANSWERS[case]
    with answering(message, streamed) as provider:
        double.script("x", Answer(status=529), Answer())
        endpoints = {
            "main": endpoint(double.url, "anthropic"),
            "else": endpoint(provider.url),
        }
        user = user_of(client, endpoints, ["else"])
        content = content_of(user, streamed, "Hi #x")
    body = {
        "max_tokens": 100,
        "messages": [*conversation(content), *turns("Go on #x")][: None if not kinds else -1],
        "tools": TOOLS,
        **asked,
    }
    reply = user.api.post(PATHS["anthropic"], body, user.headers)
    assert reply.status_code == 200, reply.text
    sent = double.calls()[-1].body
    said = [turn["content"] for turn in sent["messages"] if turn["role"] == "assistant"]
    assert [block["type"] for content in said for block in content] == kinds
    assert len(said) == bool(kinds)
    assert {name: sent[name] for name in ("thinking",) if name in sent} == thinking


THOUGHTS = {"type": "thinking", "thinking": "Mine.", "signature": "EqQBCgIYAhIM"}
HIDDEN = {"type": "redacted_thinking", "data": "EqQB"}
# The answers of one loop of calls, and whether they let Claude go on thinking.
LOOPS: dict[str, tuple[list[list[dict[str, Any]]], bool]] = {
    "thoughts": ([[THOUGHTS]], True),
    "hidden thoughts": ([[HIDDEN]], True),
    "none after the first": ([[THOUGHTS], []], True),
    "none at first": ([[], [THOUGHTS]], False),
    "text before": ([[{"type": "text", "text": "I look."}, THOUGHTS]], False),
}


@pytest.mark.parametrize("case", LOOPS)
def test_whether_a_loop_goes_on_thinking(client: httpx.Client, double: Double, case: str) -> None:
    answers, is_thinking = LOOPS[case]
    messages = turns("Hi")
    for number, blocks in enumerate(answers):
        call = {"type": "tool_use", "id": f"call_{number}", "name": "look", "input": {}}
        messages += conversation([*blocks, call])[1:]
    user = user_at(client, double.url, "anthropic")
    body = {"max_tokens": 100, "messages": messages, "tools": TOOLS, **ENABLED}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    sent = double.calls()[-1].body
    assert sent["messages"] == messages
    assert sent["thinking"] == (ENABLED if is_thinking else DISABLED)["thinking"]
