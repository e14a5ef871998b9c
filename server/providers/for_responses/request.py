"""Requests of OpenAI's responses as chat completions, and through those as Anthropic's messages.

Source: the OpenAI API reference, responses; its SDK's types.

What would change the answer is translated or refused, members that we do not know included. Null
is the same as absent. Left out are `_IGNORED`: what concerns storage, caching, priority and tools
of the provider's, and what may be left out of a conversation that is too long; and how much of its
reasoning a model shows, as all that the endpoint shows is given.

For the input see input_items.py, for tools tools.py; what goes back to an endpoint is in state.py.
"""

from typing import Any

from server.errors import Unsupported
from server.providers.for_chat import request as for_chat
from server.providers.for_messages.details import Decoder
from server.providers.for_messages.state import call_of_client
from server.providers.for_responses.answers import in_turns
from server.providers.for_responses.input_items import Items
from server.providers.for_responses.state import block_of, members_of
from server.providers.for_responses.tools import to_functions
from server.providers.members import fault, members, required_string, typed

_TRANSLATED = (
    *("include", "input", "instructions", "parallel_tool_calls", "reasoning", "temperature"),
    *("text", "tool_choice", "tools", "top_p"),
)
_OF_THE_GATEWAY = ("max_output_tokens", "model", "stream", "stream_options")
_IGNORED = (
    *("client_metadata", "max_tool_calls", "metadata", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "safety_identifier", "service_tier", "store", "truncation", "user"),
)
_NEUTRAL: dict[str, Any] = {"background": False, "context_management": [], "top_logprobs": 0}
_NOT_SENT = (*_OF_THE_GATEWAY, *_IGNORED, *_NEUTRAL)
_SAMPLING = ("temperature", "top_p")
_LOGPROBS = "message.output_text.logprobs"
_USUAL_VERBOSITY = "medium"

# How chat completions call what responses have elsewhere.
_PLACES = (
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
    ("messages", "input"),
)
_OF_CALLS = "tool_calls.0.function."


def to_chat(responses: dict[str, Any], origin: str) -> dict[str, Any]:
    """The chat completion request, for the endpoint `origin`, without `model`, `stream` and any
    limit, which the gateway sets. Raises Unsupported naming what cannot be translated."""
    decoder = Decoder()

    def thoughts_of(item: dict[str, Any]) -> dict[str, Any] | None:
        found = members_of(item, origin, decoder)
        return {"role": "assistant", **found} if found else None

    items = Items(lambda call_id: call_of_client(call_id, origin), thoughts_of)
    sent = _chat(responses, items)
    return {**sent, "messages": in_turns(items.messages)}


def to_messages(responses: dict[str, Any], origin: str) -> dict[str, Any]:
    """The request of messages, without what the gateway sets. Raises Unsupported."""

    def thoughts_of(item: dict[str, Any]) -> dict[str, Any] | None:
        found = block_of(item, origin)
        return {"role": "assistant", "content": [found]} if found else None

    items = Items(lambda call_id: {"id": call_id}, thoughts_of)
    chat = {**_chat(responses, items), "messages": items.messages}
    try:
        return for_chat.to_messages(chat, has_signed=True)
    except Unsupported as refusal:
        raise _in_words_of_responses(refusal, items) from None


def _chat(responses: dict[str, Any], items: Items) -> dict[str, Any]:
    """All but the messages, which are added to `items`."""
    for name, value in _NEUTRAL.items():
        if responses.get(name) not in (None, value):
            raise fault(name, "is not supported with this model")
    asked = members(responses, "", _TRANSLATED, _NOT_SENT)
    if _LOGPROBS in typed(asked.get("include", []), list, "include"):
        raise fault("include", f"cannot have {_LOGPROBS} with this model")
    if instructions := typed(asked.get("instructions", ""), str, "instructions"):
        items.append({"role": "system", "content": instructions}, "instructions")
    items.add(asked.get("input"))
    sampling: dict[str, Any] = {name: asked[name] for name in _SAMPLING if name in asked}
    return {**to_functions(asked), **sampling, **_reasoning(asked), **_text(asked)}


def _reasoning(asked: dict[str, Any]) -> dict[str, Any]:
    ignored = ("context", "generate_summary", "summary")
    given = members(asked.get("reasoning", {}), "reasoning", ("effort", "mode"), ignored)
    if given.get("mode", "standard") != "standard":
        raise fault("reasoning.mode", "must be standard with this model")
    if "effort" not in given:
        return {}
    return {"reasoning_effort": typed(given["effort"], str, "reasoning.effort")}


def _text(asked: dict[str, Any]) -> dict[str, Any]:
    given = members(asked.get("text", {}), "text", ("format", "verbosity"))
    verbosity = typed(given.get("verbosity", _USUAL_VERBOSITY), str, "text.verbosity")
    found = {} if verbosity == _USUAL_VERBOSITY else {"verbosity": verbosity}
    return {**found, **_format(given.get("format", {"type": "text"}))}


def _format(given: Any) -> dict[str, Any]:
    path = "text.format"
    known = ("name", "schema", "strict", "description")
    form = members(given, path, ("type", *known))
    kind = form.pop("type", None)
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": kind}}
    if kind != "json_schema":
        raise fault(f"{path}.type", "must be text, json_object or json_schema")
    required_string(form, "name", path)
    typed(form.get("schema"), dict, f"{path}.schema")
    return {"response_format": {"type": kind, kind: form}}


def _in_words_of_responses(refusal: Unsupported, items: Items) -> Unsupported:
    """It names a place in the chat completion that was made of them."""
    param = refusal.param or ""
    named = _place_of_message(param, items) if param.startswith("messages.") else param
    for ours, theirs in _PLACES:
        if named.startswith(ours):
            named = theirs + named.removeprefix(ours)
            break
    message = refusal.message.replace(param, named, 1) if param else refusal.message
    return Unsupported(named, message)


def _place_of_message(param: str, items: Items) -> str:
    number, _, rest = param.removeprefix("messages.").partition(".")
    place, role = items.paths[int(number)], items.messages[int(number)]["role"]
    rest = rest.removeprefix(_OF_CALLS)
    if role == "tool" and rest.startswith("content"):
        rest = rest.replace("content", "output", 1)
    return f"{place}.{rest}" if rest and "." in place else place  # else it is all of a member
