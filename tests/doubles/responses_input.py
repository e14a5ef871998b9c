"""What a double of OpenAI's responses refuses in the items of an input."""

from typing import Any

from tests.doubles.prompt import items_of_input, parts_of
from tests.doubles.responses_items import ENCRYPTED

_CALLS = ("function_call", "custom_tool_call")
_RESULTS = {"function_call_output": "function call", "custom_tool_call_output": "custom tool call"}
_PARTS = {
    "assistant": ("output_text", "refusal"),
    "": ("input_text", "input_image", "input_file"),
}
"""By the role; all but the assistant's are alike."""


def fault_of_input(body: dict[str, Any]) -> str:
    items = items_of_input(body)
    if items is None:
        return "Invalid type for 'input': expected one of a string or array of input items."
    if not items and body.get("previous_response_id") is None:
        return "Missing required parameter: 'input'."
    for item in items:
        if fault := _fault_of_item(item):
            return fault
    return _fault_of_calls(items, body) or _fault_of_reasoning(items)


def _fault_of_item(item: dict[str, Any]) -> str:
    kind = item.get("type", "message")
    if kind == "message":
        taken = _PARTS.get(str(item.get("role")), _PARTS[""])
        for part in parts_of(item):
            if part.get("type") not in taken:
                return f"Invalid value: '{part.get('type')}'. Supported values are: {taken}."
            if part.get("type") == "input_image" and not part.get("image_url"):
                return "Invalid image URL."
    elif kind == "reasoning":
        if not isinstance(item.get("summary"), list):
            return "Missing required parameter: 'input[].summary'."
        given = item.get("encrypted_content")
        if not given:
            # Those of stored responses are looked up by their IDs; see stored_responses.py.
            return "" if item.get("id") else "Missing required parameter: 'input[].id'."
        if not given.startswith(ENCRYPTED):
            return f"The encrypted content for item {item.get('id')} could not be verified."
    return ""


def _fault_of_calls(items: list[dict[str, Any]], body: dict[str, Any]) -> str:
    are_all_here = not body.get("previous_response_id") and not any(
        item.get("type") == "item_reference" for item in items
    )
    calls = [item.get("call_id") for item in items if item.get("type") in _CALLS]
    answered = [item.get("call_id") for item in items if item.get("type") in _RESULTS]
    for item in items:
        kind, call_id = str(item.get("type")), item.get("call_id")
        if kind in _CALLS and call_id not in answered:
            return f"No tool output found for function call {call_id}."
        if are_all_here and kind in _RESULTS and call_id not in calls:
            return f"No tool call found for {_RESULTS[kind]} output with call_id {call_id}."
    return ""


def _fault_of_reasoning(items: list[dict[str, Any]]) -> str:
    for item, following in zip(items, [*items[1:], {}], strict=True):
        is_followed = following.get("role") == "assistant" or following.get("type") in _CALLS
        if item.get("type") == "reasoning" and not is_followed:
            return (
                f"Item '{item.get('id')}' of type 'reasoning' was provided without its required "
                "following item."
            )
    return ""
