"""Requests of OpenAI's chat completions as Anthropic's messages.

Sources: the OpenAI API reference, chat completions; the Anthropic API reference, messages.

What would change the answer is translated or refused, members that we do not know included. Null
is the same as absent. Left out is what concerns storage, caching and priority, and wishes that
OpenAI does not promise to fulfil (`_IGNORED`), and what asks for nothing (`_NEUTRAL`). Where the
protocols differ:

- `temperature` (0 to 2) is cut to Anthropic's 0 to 1. It and `top_p` are sent as they are under
  anthropic-version 2023-06-01, but not when they are 1, the default of both: newer models refuse
  either or the two together, and then the client is told so.
- `reasoning_effort` becomes `output_config.effort`: minimal is low, none leaves the model's
  default, the others are the same words.
- `safety_identifier` and `user` are left out: whose call it is the gateway says.
- A stop sequence of white space alone is refused, since Anthropic takes none.
- A schema of a response's format is binding, `strict` or not. JSON mode does not exist: the system
  prompt asks for an object (`_JSON_MODE`).

For the messages see for_chat/turns.py.
"""

import re
from typing import Any

import orjson

from server.providers.for_chat.turns import to_turns
from server.providers.members import fault, function, members, required_string, typed
from server.providers.reading import an_object
from server.providers.tool_schema import completed

_TRANSLATED = {
    *("messages", "parallel_tool_calls", "reasoning_effort", "response_format"),
    *("stop", "temperature", "tool_choice", "tools", "top_p"),
}
_OF_THE_GATEWAY = {"max_completion_tokens", "max_tokens", "model", "stream", "stream_options"}
_IGNORED = {
    *("metadata", "prediction", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "safety_identifier", "seed", "service_tier", "store", "user"),
    "verbosity",
}
_NEUTRAL: dict[str, Any] = {
    "frequency_penalty": 0,
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0,
    "top_logprobs": 0,
}
_NOT_SENT = {*_OF_THE_GATEWAY, *_IGNORED, *_NEUTRAL}

_EFFORTS = {
    "none": None,
    "minimal": "low",
    **{effort: effort for effort in ("low", "medium", "high", "xhigh", "max")},
}
_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_JSON_MODE = (
    "Answer with one JSON object and nothing else: no text before or after it, no code fence."
)


def to_messages(chat: dict[str, Any], has_signed: bool = False) -> dict[str, Any]:
    """The Anthropic request of a chat completion's, without `model`, `max_tokens` and `stream`,
    which the gateway sets; `has_signed` as in turns.py.

    Raises Unsupported naming what cannot be translated or is malformed.
    """
    for name, value in _NEUTRAL.items():
        if chat.get(name) not in (None, value):
            raise fault(name, f"can only be {orjson.dumps(value).decode()} with this model")
    given = members(chat, "", _TRANSLATED, _NOT_SENT)
    system, turns = to_turns(given.get("messages"), has_signed)
    if an_object(given.get("response_format")).get("type") == "json_object":
        system.append({"type": "text", "text": _JSON_MODE})
    tools = _tools(given.get("tools", []))
    sent = {
        "system": system,
        "messages": turns,
        "tools": tools,
        "tool_choice": _tool_choice(given, bool(tools)),
        "stop_sequences": _stop_sequences(given.get("stop", [])),
        "temperature": _below_one(given, "temperature", 2),
        "top_p": _below_one(given, "top_p", 1),
        "output_config": {**_effort(given), **_format(given)},
    }
    return {name: value for name, value in sent.items() if value not in (None, [], {})}


def _tools(tools: Any) -> list[dict[str, Any]]:
    return [
        _tool(tool, f"tools.{number}") for number, tool in enumerate(typed(tools, list, "tools"))
    ]


def _tool(tool: Any, path: str) -> dict[str, Any]:
    tool = members(tool, path, ("type", "function"), ("cache_control",))
    offered = function(tool, path, ("name", "description", "parameters", "strict"))
    path += ".function"
    found: dict[str, Any] = {
        "name": _tool_name(offered, path),
        "input_schema": completed(offered.get("parameters", {}), f"{path}.parameters"),
    }
    if "description" in offered:
        found["description"] = typed(offered["description"], str, f"{path}.description")
    if "strict" in offered:
        found["strict"] = typed(offered["strict"], bool, f"{path}.strict")
    return found


def _tool_name(offered: dict[str, Any], path: str) -> str:
    name = required_string(offered, "name", path)
    if not _TOOL_NAME.fullmatch(name):
        raise fault(f"{path}.name", "must be 1 to 128 letters, digits, _ or -")
    return name


def _tool_choice(chat: dict[str, Any], has_tools: bool) -> dict[str, Any] | None:
    choice = chat.get("tool_choice", "auto")
    parallel = typed(chat.get("parallel_tool_calls", True), bool, "parallel_tool_calls")
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise fault("tool_choice", "must be auto, none, required or a function")
        found: dict[str, Any] = {"type": _CHOICES[choice]}
    else:
        chosen = members(choice, "tool_choice", ("type", "function"))
        name = required_string(
            function(chosen, "tool_choice", ("name",)), "name", "tool_choice.function"
        )
        found = {"type": "tool", "name": name}
    if not has_tools:
        if found["type"] in ("any", "tool"):
            raise fault("tool_choice", "needs tools")
        return None
    if not parallel and found["type"] != "none":
        found["disable_parallel_tool_use"] = True
    return None if found == {"type": "auto"} else found


def _stop_sequences(stop: Any) -> list[str]:
    stops = [stop] if isinstance(stop, str) else typed(stop, list, "stop")
    for number, text in enumerate(stops):
        if typed(text, str, f"stop.{number}") and not text.strip():
            raise fault(f"stop.{number}", "must not be white space alone with this model")
    return [text for text in stops if text]


def _below_one(chat: dict[str, Any], name: str, most: int) -> float | None:
    """The number if it is below 1, the default. `most`: the largest that OpenAI allows."""
    value = chat.get(name, 1)
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise fault(name, f"must be a number between 0 and {most}")
    return value if value < 1 else None


def _effort(chat: dict[str, Any]) -> dict[str, Any]:
    effort = chat.get("reasoning_effort", "none")
    if not isinstance(effort, str) or effort not in _EFFORTS:
        raise fault("reasoning_effort", f"must be one of {', '.join(_EFFORTS)}")
    return {"effort": _EFFORTS[effort]} if _EFFORTS[effort] else {}


def _format(chat: dict[str, Any]) -> dict[str, Any]:
    path = "response_format"
    wanted = members(chat.get(path, {"type": "text"}), path, ("type", "json_schema"))
    if wanted.get("type") in ("text", "json_object"):
        return {}
    if wanted.get("type") != "json_schema":
        raise fault(f"{path}.type", "must be text, json_object or json_schema with this model")
    path += ".json_schema"
    ignored = ("name", "description", "strict")
    schema = members(wanted.get("json_schema"), path, ("schema",), ignored).get("schema")
    return {"format": {"type": "json_schema", "schema": typed(schema, dict, f"{path}.schema")}}
