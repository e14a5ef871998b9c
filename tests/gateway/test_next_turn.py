"""What a provider wants back in the next turn comes back to it, and disturbs no other one: the
answer is sent back as the client has it, with the results of its tools."""

import json
import re
from typing import Any

import httpx
import pytest

from server.gateway.bodies import MOST_ORIGINS
from server.providers.for_messages.state import mark_of
from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import PATHS, ask, turns, user_at, user_of
from tests.gateway.conversations import (
    STATES,
    THOUGHT,
    TOOLS,
    a_call,
    answering,
    content_of,
    conversation,
)
from tests.gateway.raw_provider import RawProvider


def sent_back(provider: RawProvider, user: Any, content: list[dict[str, Any]]) -> dict[str, Any]:
    """What of the assistant the provider gets in the next turn; the results name its calls."""
    body = {"max_tokens": 100, "messages": conversation(content), "tools": TOOLS}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    messages = json.loads(provider.requests[-1][1])["messages"]
    (said,) = (message for message in messages if message["role"] == "assistant")
    named = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    assert named == [call["id"] for call in said.get("tool_calls", [])]
    return dict(said)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", STATES)
def test_a_provider_gets_back_what_it_gave(client: httpx.Client, name: str, streamed: bool) -> None:
    given = STATES[name]
    with answering(given, streamed) as provider:
        content = content_of(user_at(client, provider.url), streamed)
    with answering({"content": "Yes."}, streamed=False) as provider:
        said = sent_back(provider, user_at(client, provider.url), content)
    assert said == {"role": "assistant", "content": None, **given}


def test_so_many_endpoints_of_a_call_get_back_what_they_gave(client: httpx.Client) -> None:
    """Each such request is one of its own in memory."""
    dead = endpoint("http://127.0.0.1:9")
    names = [f"e{number}" for number in range(MOST_ORIGINS + 2)]
    thoughts = [
        {"type": "thinking", "thinking": name, "signature": mark_of(name, "reasoning", {})}
        for name in names
    ]
    content = [*thoughts, {"type": "text", "text": "Hm."}]
    body = {"max_tokens": 100, "messages": conversation(content)}
    for number, name in enumerate(names):
        with answering({"content": "Yes."}, streamed=False) as provider:
            endpoints = {**dict.fromkeys(names, dead), name: endpoint(provider.url)}
            user = user_of(client, endpoints, names[1:])
            assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
        _, said, _ = json.loads(provider.requests[-1][1])["messages"]
        assert said.get("reasoning") == (name if number < MOST_ORIGINS else None)


IDS = ["functions.look:0", "a b", "ünï", "call-1.2", "-", "vsid_x", "x" * 60 + ":1", "0"]
IDS += ["chatcmpl-tool-" + "0a" * 16, "call_1__thought__" + "AY89+a/b==" * 200]
IDS += ["a." * 500, "x" * 90 + "üñ-.:/ +=~", "-" * 100 + "é" * 1_000, "-" + "x" * 90]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("call_id", IDS)
def test_ids_fit_anthropic_and_come_back(
    client: httpx.Client, call_id: str, streamed: bool
) -> None:
    with answering({"tool_calls": [a_call(call_id)]}, streamed) as provider:
        content = content_of(user_at(client, provider.url), streamed)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", content[0]["id"])
    with answering({"content": "Yes."}, streamed=False) as provider:
        said = sent_back(provider, user_at(client, provider.url), content)
    assert said["tool_calls"][0]["id"] == call_id


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("call_id", IDS)
def test_other_endpoints_get_ids_that_openai_takes(
    client: httpx.Client, call_id: str, streamed: bool
) -> None:
    given = [a_call(call_id), a_call(call_id)]
    with answering({"tool_calls": given}, streamed) as provider:
        content = content_of(user_at(client, provider.url), streamed)
    with answering({"content": "Yes."}, streamed=False) as provider:
        said = sent_back(provider, user_of(client, {"other": endpoint(provider.url)}), content)
    ids = {call["id"] for call in said["tool_calls"]}
    assert all(len(one) <= 40 for one in ids)
    assert call_id in ids or len(call_id) > 40


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("call_id", ["0", "call-1", "functions.look:0", "-n1"])
def test_calls_of_one_id_are_told_apart(client: httpx.Client, call_id: str, streamed: bool) -> None:
    calls = [a_call(call_id), a_call(call_id), a_call(call_id, extra_content=THOUGHT)]
    with answering({"tool_calls": calls}, streamed) as provider:
        content = content_of(user_at(client, provider.url), streamed)
    assert len({block["id"] for block in content}) == 3
    with answering({"content": "Yes."}, streamed=False) as provider:
        said = sent_back(provider, user_at(client, provider.url), content)
    assert said["tool_calls"] == calls


@pytest.mark.parametrize("state", STATES)
def test_another_endpoint_gets_no_more_than_the_ids(client: httpx.Client, state: str) -> None:
    with answering(STATES[state], streamed=False) as provider:
        content = content_of(user_at(client, provider.url), streamed=False)
    with answering({"content": "Yes."}, streamed=False) as provider:
        other = user_of(client, {"other": endpoint(provider.url)})
        said = sent_back(provider, other, content)
        refusing = user_at(client, provider.url, returns_state=False)
        assert sent_back(provider, refusing, content) == said
    calls = STATES[state].get("tool_calls", [])
    assert said.keys() <= {"role", "content", "tool_calls"}
    assert [call["id"] for call in said.get("tool_calls", [])] == [call["id"] for call in calls]
    assert not any("extra_content" in call for call in said.get("tool_calls", []))


@pytest.mark.parametrize("state", STATES)
def test_a_fallback_does_not_spoil_a_conversation(
    client: httpx.Client, double: Double, state: str
) -> None:
    """Anthropic refuses thinking that it has not signed, and calls with other IDs."""
    prompt = double.script("busy", Answer(status=529), Answer())
    with answering(STATES[state], streamed=False) as provider:
        endpoints = {
            "main": endpoint(double.url, "anthropic"),
            "else": endpoint(provider.url),
        }
        user = user_of(client, endpoints, ["else"])
        reply = ask(user, prompt, "anthropic", tools=TOOLS)
        assert reply.status_code == 200, reply.text
        content = reply.json()["content"]
    signed = {"type": "thinking", "thinking": "Mine.", "signature": "EqQBCgIYAhIM"}
    messages = [
        *turns(prompt),
        {"role": "assistant", "content": [signed, {"type": "text", "text": "First."}]},
        *conversation(content),
    ]
    body = {"max_tokens": 100, "messages": messages, "tools": TOOLS}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    sent = double.calls()[-1].body["messages"]
    blocks = [
        block for turn in sent if isinstance(turn["content"], list) for block in turn["content"]
    ]
    assert [block for block in blocks if block["type"] == "thinking"] == [signed]
    called = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in called)
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert results == called
    assert all(turn["content"] for turn in sent)


THINKING: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "enabled, in the midst of calls": (
        "reasoning_content",
        {"thinking": {"type": "enabled", "budget_tokens": 50}},
        {"thinking": {"type": "disabled"}},
    ),
    "with edits": (
        "reasoning_content",
        {
            "thinking": {"type": "enabled", "budget_tokens": 50},
            "context_management": {
                "edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]
            },
        },
        {
            "thinking": {"type": "disabled"},
            "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        },
    ),
    "adaptive": (
        "reasoning_content",
        {"thinking": {"type": "adaptive"}},
        {"thinking": {"type": "adaptive"}},
    ),
    "no calls": (
        "reasoning without a call",
        {"thinking": {"type": "enabled", "budget_tokens": 50}},
        {"thinking": {"type": "enabled", "budget_tokens": 50}},
    ),
}


@pytest.mark.parametrize("case", THINKING)
def test_calls_of_a_fallback_are_gone_on_with_unthinkingly(
    client: httpx.Client, double: Double, case: str
) -> None:
    state, asked, expected = THINKING[case]
    with answering(STATES[state], streamed=False) as provider:
        content = content_of(user_at(client, provider.url), streamed=False)
    user = user_at(client, double.url, "anthropic")
    body = {"max_tokens": 100, "messages": conversation(content), "tools": TOOLS, **asked}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    sent = double.calls()[-1].body
    assert {name: sent[name] for name in ("thinking", "context_management") if name in sent} == (
        expected
    )


def test_ids_that_come_again_are_others_to_anthropic(client: httpx.Client, double: Double) -> None:
    call = {"type": "tool_use", "id": "0", "name": "look", "input": {}}
    messages = [*conversation([call]), *conversation([call])[1:], *conversation([call, call])[1:]]
    user = user_at(client, double.url, "anthropic")
    body = {"max_tokens": 100, "messages": messages, "tools": TOOLS}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    blocks = [
        block
        for turn in double.calls()[-1].body["messages"]
        if isinstance(turn["content"], list)
        for block in turn["content"]
    ]
    called = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert called[0] == "0"
    assert len(set(called)) == 4
    assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == called


def test_a_request_without_anything_of_ours_is_untouched(
    client: httpx.Client, double: Double
) -> None:
    call = {"type": "tool_use", "id": "functions.look:0", "name": "look", "input": {}, "x": 1}
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM"}
    messages = conversation([thinking, call])
    user = user_at(client, double.url, "anthropic")
    body = {"max_tokens": 100, "messages": messages, "tools": TOOLS}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    assert double.calls()[-1].body["messages"] == messages


HISTORIES: dict[str, dict[str, Any]] = {
    "a thought's signature": a_call("call_1", extra_content=THOUGHT),
    "an empty extra": a_call("call_1", extra_content={}),
    "what a proxy adds": a_call("call_1", provider_specific_fields={"thought_signature": "x"}),
    "in the function": a_call(
        "call_1", function={"name": "look", "arguments": '{"at":1}', "extra_content": THOUGHT}
    ),
    "what OpenAI's SDK adds": a_call(
        "call_1",
        parsed=None,
        function={"name": "look", "arguments": '{"at":1}', "parsed_arguments": {"at": 1}},
    ),
    "an object": a_call("call_1", function={"name": "look", "arguments": {"at": 1}}),
    "no type": {**a_call("call_1"), "type": None},
    "an odd ID": a_call("functions.look:0"),
    "an empty ID": a_call(""),
    "no ID": {**a_call("call_1"), "id": None},
    "a long ID": a_call("call_" + "x" * 100),
    "JSON in JSON": a_call(
        "call_1", function={"name": "look", "arguments": json.dumps('{"at":1}')}
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_any_history_of_a_chat_can_go_to_anthropic(
    client: httpx.Client, double: Double, name: str
) -> None:
    call = HISTORIES[name]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "seen"}
    thoughts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    said = {
        "role": "assistant",
        "content": thoughts,
        "tool_calls": [call],
        "extra_content": THOUGHT,
    }
    user = user_at(client, double.url, "anthropic")
    body = {"messages": [*turns("Hi"), said, result, said, result]}
    reply = user.api.post(PATHS["openai"], body, user.headers)
    assert reply.status_code == 200, reply.text
    blocks = [block for turn in double.calls()[-1].body["messages"] for block in turn["content"]]
    called = [block for block in blocks if block["type"] == "tool_use"]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", block["id"]) for block in called)
    assert called[0]["id"] != called[1]["id"]
    assert [block["input"] for block in called] == [{"at": 1}] * 2
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert results == [block["id"] for block in called]


NAMES = [
    ("multi_tool_use.parallel", "multi_tool_use_parallel"),
    ("functions.look", "functions_look"),
    ("$look up", "_look_up"),
    ("schau\u00e4", "schau_"),
    ("x" * 200, "x" * 128),
    ("", "_"),
]


@pytest.mark.parametrize(("name", "expected"), NAMES)
def test_a_tool_that_a_model_made_up_does_not_end_a_conversation(
    client: httpx.Client, double: Double, name: str, expected: str
) -> None:
    user = user_at(client, double.url, "anthropic")
    block = {"type": "tool_use", "id": "call_1", "name": name, "input": {}}
    body = {"max_tokens": 100, "messages": conversation([block]), "tools": TOOLS}
    assert user.api.post(PATHS["anthropic"], body, user.headers).status_code == 200
    call = a_call("call_1", function={"name": name, "arguments": '{"x": "\\ud83d"}'})
    result = {"role": "tool", "tool_call_id": "call_1", "content": "There is no such tool"}
    said = {"role": "assistant", "tool_calls": [call]}
    body = {"messages": [*turns("Hi"), said, result]}
    assert user.api.post(PATHS["openai"], body, user.headers).status_code == 200
    of_messages, of_chat = (one.body["messages"][1]["content"][0] for one in double.calls())
    assert of_messages == {**block, "name": expected}
    assert of_chat == {**block, "name": expected, "input": {"x": "\ufffd"}}
