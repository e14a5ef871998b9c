"""Turns on their way to the other protocol: what stands where in them, and what comes together."""

from typing import Any

import pytest

from server.providers.for_chat.request import to_messages
from server.providers.for_messages.request import to_chat

HI: list[Any] = [{"role": "user", "content": "Hi"}]
PIXEL = "iVBORw0KGgo="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
URL = f"data:image/png;base64,{PIXEL}"
IMAGE_URL = {"type": "image_url", "image_url": {"url": URL}}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def use(call_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "look", "input": {}}


def call(call_id: str) -> dict[str, Any]:
    function = {"name": "look", "arguments": "{}"}
    return {"id": call_id, "type": "function", "function": function}


def result(call_id: str, content: Any, **members: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **members}


def answer(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def of_tool(call_id: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def chat_of(*turns: Any) -> list[Any]:
    """What becomes of these turns after the first."""
    sent: list[Any] = to_chat({"messages": [*HI, *turns]})["messages"]
    return sent[1:]


RESULTS: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "an image alone": (
        [result("a", [IMAGE])],
        [of_tool("a", "[image 1]")],
        [said("[image 1]:"), IMAGE_URL],
    ),
    "text and images": (
        [result("a", [said("One:"), IMAGE, said("two:"), IMAGE])],
        [of_tool("a", "One:\n[image 1]\ntwo:\n[image 2]")],
        [said("[image 1]:"), IMAGE_URL, said("[image 2]:"), IMAGE_URL],
    ),
    "of two calls, an error": (
        [result("a", [IMAGE], is_error=True), result("b", "none"), said("Well?")],
        [of_tool("a", "Error: [image 1]"), of_tool("b", "none")],
        [said("[image 1]:"), IMAGE_URL, said("Well?")],
    ),
    "beside an image of the user's": (
        [IMAGE, result("a", [IMAGE]), result("b", [IMAGE])],
        [of_tool("a", "[image 1]"), of_tool("b", "[image 2]")],
        [said("[image 1]:"), IMAGE_URL, said("[image 2]:"), IMAGE_URL, IMAGE_URL],
    ),
}


@pytest.mark.parametrize("case", RESULTS)
def test_images_in_results_follow_them(case: str) -> None:
    content, results, parts = RESULTS[case]
    made = chat_of(answer([use("a"), use("b")]), {"role": "user", "content": content})
    assert made[1:] == [*results, {"role": "user", "content": parts}]


@pytest.mark.parametrize("parts", [[IMAGE_URL], [said("Here:"), IMAGE_URL], [IMAGE_URL] * 2])
def test_images_in_results_of_chats(parts: list[Any]) -> None:
    messages = [
        {"role": "assistant", "tool_calls": [call("a")]},
        {"role": "tool", "tool_call_id": "a", "content": parts},
    ]
    turns = to_messages({"messages": [*HI, *messages]})["messages"]
    blocks = [IMAGE if part == IMAGE_URL else part for part in parts]
    assert turns[-1]["content"] == [result("a", blocks)]


ANSWERS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "calls": (
        [[use("a")], [use("b")]],
        {"content": None, "tool_calls": [call("a"), call("b")]},
    ),
    "text and a call": (
        [[said("Let me ")], [said("look."), use("a")], [use("b")]],
        {"content": "Let me look.", "tool_calls": [call("a"), call("b")]},
    ),
    "a call, text, nothing": (
        [[use("a"), use("b")], "There.", []],
        {"content": "There.", "tool_calls": [call("a"), call("b")]},
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_in_a_row_are_one(case: str) -> None:
    contents, expected = ANSWERS[case]
    results = {"role": "user", "content": [result("a", "x"), result("b", "y")]}
    made = chat_of(*map(answer, contents), results)
    assert made == [{"role": "assistant", **expected}, of_tool("a", "x"), of_tool("b", "y")]
