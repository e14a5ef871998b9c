"""What one protocol takes and the other does not: names, spellings, and what may be missing."""

from typing import Any

import pytest

from server.errors import Unsupported
from server.providers.for_chat.request import to_messages
from server.providers.for_messages.request import to_chat
from server.providers.identifiers import CallIds

HI: list[Any] = [{"role": "user", "content": "Hi"}]
PROPERTIES = {"city": {"type": "string"}}

SCHEMAS: list[tuple[Any, dict[str, Any]]] = [
    ({"type": "object"}, {"type": "object", "properties": {}}),
    ({}, {"type": "object", "properties": {}}),
    ({"type": None}, {"type": "object", "properties": {}}),
    ({"type": ["object"]}, {"type": "object", "properties": {}}),
    ({"type": "object", "properties": None}, {"type": "object", "properties": {}}),
    ({"properties": PROPERTIES}, {"type": "object", "properties": PROPERTIES}),
    (
        {"type": "object", "required": None, "additionalProperties": False},
        {"type": "object", "properties": {}, "additionalProperties": False},
    ),
    (
        {"type": "object", "$schema": "x", "properties": PROPERTIES, "required": ["city"]},
        {"type": "object", "$schema": "x", "properties": PROPERTIES, "required": ["city"]},
    ),
]


@pytest.mark.parametrize(("schema", "expected"), SCHEMAS)
def test_schemas_of_tools_are_complete_at_their_top(schema: Any, expected: Any) -> None:
    tool = {"name": "now", "input_schema": schema}
    sent = to_chat({"messages": HI, "tools": [tool]})
    assert sent["tools"][0]["function"]["parameters"] == expected
    function = {"name": "now", "parameters": schema}
    sent = to_messages({"messages": HI, "tools": [{"type": "function", "function": function}]})
    assert sent["tools"][0]["input_schema"] == expected


@pytest.mark.parametrize("kind", ["array", "string", ["object", "null"], 1])
def test_a_tools_input_is_an_object(kind: Any) -> None:
    with pytest.raises(Unsupported) as refused:
        to_chat({"messages": HI, "tools": [{"name": "now", "input_schema": {"type": kind}}]})
    assert refused.value.param == "tools.0.input_schema.type"


@pytest.mark.parametrize("user", ["u", "a" * 65, "", 5, {"a": "b"}])
def test_whose_call_it_is_no_client_says(user: Any) -> None:
    """The gateway does."""
    for metadata in ({"user_id": user}, user):
        assert to_chat({"messages": HI, "metadata": metadata}).keys() == {"messages"}
    sent = to_messages({"messages": HI, "user": user, "safety_identifier": user})
    assert sent.keys() == {"messages"}


MEDIA_TYPES = [
    ("image/jpg", "image/jpeg"),
    ("IMAGE/JPG", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/png; charset=binary", "image/png"),
    ("image/webp", "image/webp"),
    *((kind, "image/jpeg") for kind in ("image/jpe", "image/jfif", "image/x-jpeg", "jpeg", "JPG")),
    *((kind, "image/png") for kind in ("png", "image/x-citrix-png", " image/png ")),
    ("image/x-webp", "image/webp"),
    ("gif", "image/gif"),
]


@pytest.mark.parametrize(("given", "expected"), MEDIA_TYPES)
def test_media_types_spelled_otherwise(given: str, expected: str) -> None:
    url = f"data:{given.replace(' ', '')};base64,AAA="
    part = {"type": "image_url", "image_url": {"url": url}}
    (turn,) = to_messages({"messages": [{"role": "user", "content": [part]}]})["messages"]
    assert turn["content"][0]["source"]["media_type"] == expected
    block = {"type": "image", "source": {"type": "base64", "media_type": given, "data": "AAA="}}
    (message,) = to_chat({"messages": [{"role": "user", "content": [block]}]})["messages"]
    assert message["content"][0]["image_url"]["url"] == f"data:{expected};base64,AAA="


@pytest.mark.parametrize(
    "given", ["image/tiff", "image", "text/jpg", "", "/png", "image/svg+xml", "x", 3]
)
def test_media_types_of_neither(given: Any) -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": given, "data": "AAA="}}
    with pytest.raises(Unsupported) as refused:
        to_chat({"messages": [{"role": "user", "content": [block]}]})
    assert refused.value.param == "messages.0.content.0.source.media_type"


def an_object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": PROPERTIES, "required": ["city"], **members}


CLOSED = an_object(additionalProperties=False)
STRICT: list[tuple[dict[str, Any], bool]] = [
    (CLOSED, True),
    ({**CLOSED, "$schema": "x", "title": "A city"}, True),
    ({**CLOSED, "properties": {"city": {"type": ["string", "null"]}}}, True),
    ({**CLOSED, "properties": {"city": {"anyOf": [CLOSED, {"type": "null"}]}}}, True),
    ({**CLOSED, "properties": {"city": {"$ref": "#/$defs/c"}}, "$defs": {"c": CLOSED}}, True),
    ({**CLOSED, "required": []}, False),
    ({"type": "object", "properties": PROPERTIES, "additionalProperties": False}, False),
    (an_object(), False),
    (an_object(additionalProperties=True), False),
    (an_object(additionalProperties={"type": "string"}), False),
    ({**CLOSED, "properties": {"city": an_object()}}, False),
    ({**CLOSED, "properties": {"city": {"type": "array", "items": an_object()}}}, False),
    ({**CLOSED, "properties": {"city": {"anyOf": [an_object()]}}}, False),
    ({**CLOSED, "properties": {"city": {"type": "string", "default": "Bonn"}}}, False),
    ({**CLOSED, "properties": {"city": {"type": "string", "format": "uri"}}}, False),
    ({**CLOSED, "allOf": [CLOSED]}, False),
    ({"anyOf": [CLOSED]}, False),
    ({"type": "array", "items": CLOSED}, False),
    ({**CLOSED, "properties": {"city": True}}, False),
    ({**CLOSED, "properties": []}, False),
    ({**CLOSED, "required": [["city"]]}, False),
    ({**CLOSED, "properties": {"city": {}}}, False),
    ({**CLOSED, "properties": {"city": {"description": "any"}}}, False),
    ({**CLOSED, "properties": {"city": {"enum": ["Bonn"]}}}, False),
    ({**CLOSED, "properties": {"city": {"type": "string", "enum": ["Bonn"]}}}, True),
    ({**CLOSED, "properties": {"city": {"type": "array"}}}, False),
    ({**CLOSED, "properties": {"city": {"type": ["array", "null"]}}}, False),
    ({**CLOSED, "properties": {"city": {"type": "array", "items": CLOSED}}}, True),
    (
        {
            **CLOSED,
            "properties": {"city": {"$ref": "#/$defs/c", "description": "d"}},
            "$defs": {"c": CLOSED},
        },
        False,
    ),
]


@pytest.mark.parametrize(("schema", "is_strict"), STRICT)
def test_a_schema_is_binding_where_openai_takes_it_so(
    schema: dict[str, Any], is_strict: bool
) -> None:
    form = {"type": "json_schema", "schema": schema}
    sent = to_chat({"messages": HI, "output_config": {"format": form}})
    wanted = {"name": "output", "schema": schema, **({"strict": True} if is_strict else {})}
    assert sent["response_format"] == {"type": "json_schema", "json_schema": wanted}


# A tool's input is an object anyway.
OF_TOOLS = [(schema, strict) for schema, strict in STRICT if schema.get("type") == "object"]


@pytest.mark.parametrize(("schema", "can_be"), OF_TOOLS)
@pytest.mark.parametrize("asked", [True, False, None])
def test_a_tool_is_strict_where_openai_takes_it_so(
    schema: dict[str, Any], can_be: bool, asked: bool | None
) -> None:
    if isinstance(schema["properties"], list):
        return
    tool = {"name": "f", "input_schema": schema, "strict": asked}
    sent = to_chat({"messages": HI, "tools": [tool]})["tools"][0]["function"]
    assert sent["parameters"] == schema
    assert sent.get("strict", False) is (asked is True and can_be)


EDITS: list[tuple[Any, str]] = [
    ({}, ""),
    ({"edits": []}, ""),
    ({"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}, ""),
    (
        {
            "edits": [
                {"type": "clear_thinking_20251015"},
                {"type": "clear_thinking_20991231", "keep": {"type": "thinking_turns", "value": 2}},
            ]
        },
        "",
    ),
    ({"edits": [{"type": "clear_tool_uses_20250919"}]}, "context_management.edits.0.type"),
    (
        {"edits": [{"type": "clear_thinking_20251015"}, {"type": "compact_20260112"}]},
        "context_management.edits.1.type",
    ),
    ({"edits": [{}]}, "context_management.edits.0.type"),
    ({"edits": "all"}, "context_management.edits"),
    ({"trigger": 1}, "context_management.trigger"),
]


@pytest.mark.parametrize(("management", "refused"), EDITS)
def test_edits_of_the_context(management: Any, refused: str) -> None:
    asked = {"messages": HI, "context_management": management}
    if not refused:
        assert to_chat(asked) == {"messages": HI}
        return
    with pytest.raises(Unsupported) as refusal:
        to_chat(asked)
    assert refusal.value.param == refused


def test_json_mode_is_asked_for_in_the_system_prompt() -> None:
    chat = {"messages": [{"role": "system", "content": "Be brief."}, *HI]}
    plain = to_messages(chat)
    sent = to_messages({**chat, "response_format": {"type": "json_object"}})
    *before, asking = sent.pop("system")
    assert before == plain.pop("system")
    assert "JSON object" in asking["text"]
    assert sent == plain


def test_a_result_is_of_the_oldest_call_without_one() -> None:
    ids = CallIds()
    first, second = ids.of_call("0"), ids.of_call("0")
    assert [ids.of_result("0"), ids.of_result("0"), ids.of_result("0")] == [first, second, second]
    third = ids.of_call("0")
    assert ids.of_result("0") == third
    assert len({first, second, third}) == 3
    assert ids.of_result("never called") == CallIds().of_result("never called")
