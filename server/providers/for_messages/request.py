"""An Anthropic messages request as a chat completion request.

Sources: the Anthropic API reference, messages; the OpenAI API reference, chat completions. What
the other protocol has no word for is refused by its name, except:

- `_IGNORED` of the request and `_IGNORED_OF_TOOLS`, as they change no answer; whose call it is
  the gateway says;
- edits in `context_management` that concern what is not sent anyway (`_IGNORED_EDITS`).

`thinking` of type `enabled` becomes `reasoning_effort` by its budget, unless `output_config` names
an effort; `adaptive` and `disabled` leave the effort to the model's default. A schema of the
answer, or of a strict tool's input, is binding where OpenAI can make it so (strict.py), else the
model is only asked for it.
"""

from typing import Any

from server.providers.for_messages.strict import can_be_strict
from server.providers.for_messages.turns import from_turns
from server.providers.identifiers import tool_for_openai
from server.providers.members import fault, members, required_string, typed
from server.providers.reading import objects, string
from server.providers.tool_schema import completed

MOST_STOPS = 4
MOST_RENAMED = 64 * 1024
"""Characters of the names of a call's tools that are sent by others."""

_KNOWN = (
    *("messages", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_p"),
    *("thinking", "output_config", "context_management"),
)
_OF_THE_GATEWAY = ("model", "max_tokens", "stream")
_IGNORED = ("cache_control", "service_tier", "speed", "diagnostics", "metadata")
# The last two have a meaning only beside tools of the provider's.
_IGNORED_OF_TOOLS = (
    *("cache_control", "input_examples", "eager_input_streaming"),
    *("defer_loading", "allowed_callers"),
)
# What the types of such edits begin with. Others would change what the model reads.
_IGNORED_EDITS = ("clear_thinking_",)
_TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
# The effort for budgets below so many tokens; "high" for larger ones.
_EFFORT_BUDGETS = ((4_096, "low"), (16_384, "medium"))


def to_chat(messages: dict[str, Any], origin: str = "") -> dict[str, Any]:
    """The chat completion request of an Anthropic messages request, for the endpoint `origin`.

    Without `model`, `stream`, `stream_options` and any limit, which the gateway sets. Raises
    Unsupported naming what cannot be translated.
    """
    asked = members(messages, "", _KNOWN, (*_OF_THE_GATEWAY, *_IGNORED))
    _refuse_edits(asked.get("context_management", {}))
    return {
        "messages": from_turns(asked.get("system"), asked.get("messages"), origin),
        **_tools(asked),
        **_sampling(asked),
        **_output(asked),
    }


def renamed_tools(messages: dict[str, Any]) -> dict[str, str]:
    """The names of tools that OpenAI does not take, by those that they are sent by. Raises
    Unsupported: they are kept for as long as the call lasts, and could be as large as its body."""
    names = [string(tool.get("name")) for tool in objects(messages.get("tools"))]
    renamed = {sent: name for name in names if (sent := tool_for_openai(name)) != name}
    if sum(map(len, renamed.values())) > MOST_RENAMED:
        raise fault("tools", f"has names with more than {MOST_RENAMED:,} characters together")
    return renamed


def _refuse_edits(management: Any) -> None:
    path = "context_management"
    edits = typed(members(management, path, ("edits",)).get("edits", []), list, f"{path}.edits")
    for number, edit in enumerate(edits):
        here = f"{path}.edits.{number}"
        kind = typed(edit, dict, here).get("type")
        if not isinstance(kind, str) or not kind.startswith(_IGNORED_EDITS):
            raise fault(f"{here}.type", "is not supported with this model")


def _tools(asked: dict[str, Any]) -> dict[str, Any]:
    tools = typed(asked.get("tools", []), list, "tools")
    choice = _tool_choice(asked)
    if tools:
        return {"tools": [_tool(tool, f"tools.{n}") for n, tool in enumerate(tools)], **choice}
    if choice.get("tool_choice", "none") not in ("auto", "none"):
        raise fault("tool_choice", "needs tools")
    # Without tools, OpenAI refuses any choice.
    return {}


def _tool(tool: Any, path: str) -> dict[str, Any]:
    if typed(tool, dict, path).get("type") not in (None, "custom"):
        raise fault(f"{path}.type", "must be custom with this model: only clients run tools")
    known = ("type", "name", "description", "input_schema", "strict")
    tool = members(tool, path, known, _IGNORED_OF_TOOLS)
    function: dict[str, Any] = {"name": tool_for_openai(required_string(tool, "name", path))}
    if "description" in tool:
        function["description"] = typed(tool["description"], str, f"{path}.description")
    function["parameters"] = completed(tool.get("input_schema"), f"{path}.input_schema")
    if typed(tool.get("strict", False), bool, f"{path}.strict"):
        function["strict"] = can_be_strict(function["parameters"])
    return {"type": "function", "function": function}


def _tool_choice(asked: dict[str, Any]) -> dict[str, Any]:
    if "tool_choice" not in asked:
        return {}
    path = "tool_choice"
    choice = members(asked[path], path, ("type", "name", "disable_parallel_tool_use"))
    one_at_a_time = choice.get("disable_parallel_tool_use", False)
    typed(one_at_a_time, bool, f"{path}.disable_parallel_tool_use")
    kind = choice.get("type")
    translated: dict[str, Any] = {}
    if kind == "tool":
        function = {"name": tool_for_openai(required_string(choice, "name", path))}
        translated["tool_choice"] = {"type": "function", "function": function}
    elif isinstance(kind, str) and kind in _TOOL_CHOICES:
        translated["tool_choice"] = _TOOL_CHOICES[kind]
    else:
        raise fault(f"{path}.type", "must be auto, any, tool or none")
    if one_at_a_time and kind != "none":
        translated["parallel_tool_calls"] = False
    return translated


def _sampling(asked: dict[str, Any]) -> dict[str, Any]:
    translated: dict[str, Any] = {}
    for name in ("temperature", "top_p"):
        if name in asked:
            value = translated[name] = asked[name]
            if type(value) not in (int, float) or not 0 <= value <= 1:
                raise fault(name, "must be a number from 0 to 1")
    stops = typed(asked.get("stop_sequences", []), list, "stop_sequences")
    if len(stops) > MOST_STOPS:
        raise fault("stop_sequences", f"must be at most {MOST_STOPS} with this model")
    if stops:
        translated["stop"] = [typed(s, str, f"stop_sequences.{n}") for n, s in enumerate(stops)]
    return translated


def _output(asked: dict[str, Any]) -> dict[str, Any]:
    config = members(asked.get("output_config", {}), "output_config", ("effort", "format"))
    effort = config.get("effort")
    if effort not in (None, *_EFFORTS):
        raise fault("output_config.effort", f"must be one of {', '.join(_EFFORTS)}")
    effort_of_thinking = _effort_of_thinking(asked)
    translated: dict[str, Any] = {}
    if effort or effort_of_thinking:
        translated["reasoning_effort"] = effort or effort_of_thinking
    if "format" in config:
        translated["response_format"] = _response_format(config["format"])
    return translated


def _effort_of_thinking(asked: dict[str, Any]) -> str | None:
    if "thinking" not in asked:
        return None
    # How thinking is displayed is the provider's to choose.
    thinking = members(asked["thinking"], "thinking", ("type", "budget_tokens"), ("display",))
    kind, budget = thinking.get("type"), thinking.get("budget_tokens")
    if kind in ("adaptive", "disabled"):
        return None
    if kind != "enabled":
        raise fault("thinking.type", "must be enabled, adaptive or disabled with this model")
    if type(budget) is not int or budget < 0:
        raise fault("thinking.budget_tokens", "must be a number of tokens")
    return next((effort for below, effort in _EFFORT_BUDGETS if budget < below), "high")


def _response_format(form: Any) -> dict[str, Any]:
    path = "output_config.format"
    form = members(form, path, ("type", "schema"))
    if form.get("type") != "json_schema":
        raise fault(f"{path}.type", "must be json_schema")
    schema = typed(form.get("schema"), dict, f"{path}.schema")
    strict = {"strict": True} if can_be_strict(schema) else {}
    json_schema = {"name": "output", "schema": schema, **strict}
    return {"type": "json_schema", "json_schema": json_schema}
