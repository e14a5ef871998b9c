"""Tools of a response as functions of a chat completion.

- A custom tool, which is called with a text, becomes a function of one argument (INPUT). The
  grammar of such a text stands in its description: the model is told it, but not held to it.
- Those of a namespace become functions with its name before theirs.
- With `allowed_tools` the others are not sent.
- Tools that run at the provider are refused, but for a search without the web, which is left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from server.providers.for_messages.request import MOST_RENAMED
from server.providers.identifiers import tool_for_openai
from server.providers.members import fault, members, required_string, typed
from server.providers.reading import an_object, objects, string
from server.providers.tool_schema import completed
from server.providers.tools import is_offline_search

INPUT = "input"
"""The argument of a custom tool."""

_FUNCTION = ("type", "name", "description", "parameters", "strict")
_CUSTOM = ("type", "name", "description", "format")
# What a tool gives, and where it may be called from: only beside tools of the provider's.
_IGNORED = ("allowed_callers", "defer_loading", "output_schema", "cache_control")
_CHOICES = ("auto", "none", "required")
_INPUT_SCHEMA = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}
_GRAMMAR = "The input is a text that this grammar ({}) produces, and nothing else:\n{}"

Tool = dict[str, Any]


def sent_name(tool: Mapping[str, Any]) -> str:
    """What a tool, or a call of one, is named towards the endpoint."""
    name, namespace = string(tool.get("name")), string(tool.get("namespace"))
    return tool_for_openai(f"{namespace}__{name}" if namespace else name)


def to_functions(asked: dict[str, Any]) -> dict[str, Any]:
    """`tools`, `tool_choice` and `parallel_tool_calls` of a chat completion. Raises Unsupported."""
    functions = [_function(tool, path) for path, tool in _each(asked.get("tools", []))]
    choice, allowed = _choice(asked.get("tool_choice", "auto"))
    parallel = typed(asked.get("parallel_tool_calls", True), bool, "parallel_tool_calls")
    if allowed is not None:
        functions = [tool for tool in functions if tool["function"]["name"] in allowed]
    if not functions:
        if choice not in ("auto", "none"):
            raise fault("tool_choice", "needs tools")
        return {}  # without tools, OpenAI refuses the others
    found: dict[str, Any] = {"tools": functions}
    if choice != "auto":
        found["tool_choice"] = choice
    if not parallel:
        found["parallel_tool_calls"] = False
    return found


def unlike_functions(body: dict[str, Any]) -> dict[str, Tool]:
    """By the names that they are sent by, the tools that are not called as a function of that name:
    the members of their calls. Raises Unsupported, as they are kept for as long as the call."""
    found = {}
    for tool in _lenient(body.get("tools")):
        sent = sent_name(tool)
        is_custom = tool.get("type") == "custom"
        if is_custom or sent != tool.get("name"):
            named = {name: tool[name] for name in ("name", "namespace") if tool.get(name)}
            found[sent] = {"type": "custom_tool_call" if is_custom else "function_call", **named}
    if len(orjson.dumps(found)) > MOST_RENAMED:
        raise fault("tools", f"has names with more than {MOST_RENAMED:,} characters together")
    return found


def _each(tools: Any) -> Iterator[tuple[str, Tool]]:
    """Each with its path, those of namespaces by themselves."""
    for number, tool in enumerate(typed(tools, list, "tools")):
        path = f"tools.{number}"
        if is_offline_search(tool):
            continue
        if typed(tool, dict, path).get("type") != "namespace":
            yield path, tool
            continue
        space = members(tool, path, ("type", "name", "tools"), ("description",))
        name = required_string(space, "name", path)
        for place, inner in enumerate(typed(space.get("tools"), list, f"{path}.tools")):
            here = f"{path}.tools.{place}"
            yield here, {**typed(inner, dict, here), "namespace": name}


def _lenient(tools: Any) -> Iterator[Tool]:
    for tool in objects(tools):
        if tool.get("type") == "namespace":
            yield from (
                {**one, "namespace": tool.get("name")} for one in objects(tool.get("tools"))
            )
        else:
            yield tool


def _function(tool: Tool, path: str) -> Tool:
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        what = "must be function or custom with this model: it has no tools of a provider's"
        raise fault(f"{path}.type", what)
    if tool.get("async"):
        raise fault(f"{path}.async", "is not supported with this model")
    known = _FUNCTION if kind == "function" else _CUSTOM
    given = members(tool, path, known, (*_IGNORED, "async", "namespace"))
    required_string(given, "name", path)
    found: Tool = {"name": sent_name(tool)}
    description = typed(given.get("description", ""), str, f"{path}.description")
    if kind == "custom":
        description = "\n\n".join(filter(None, (description, _grammar(given, path))))
        found["parameters"] = _INPUT_SCHEMA
    else:
        found["parameters"] = completed(given.get("parameters", {}), f"{path}.parameters")
        if typed(given.get("strict", False), bool, f"{path}.strict"):
            found["strict"] = True
    return {"type": "function", "function": {**found, **_told(description)}}


def _told(description: str) -> dict[str, str]:
    return {"description": description} if description else {}


def _grammar(tool: Tool, path: str) -> str:
    path = f"{path}.format"
    form = members(tool.get("format", {"type": "text"}), path, ("type", "syntax", "definition"))
    if form.get("type") == "text":
        return ""
    if form.get("type") != "grammar":
        raise fault(f"{path}.type", "must be text or grammar")
    syntax, definition = (required_string(form, name, path) for name in ("syntax", "definition"))
    return _GRAMMAR.format(syntax, definition)


def _choice(choice: Any) -> tuple[Any, set[str] | None]:
    """What is chosen, and the names of those that may be if not all are."""
    path = "tool_choice"
    if isinstance(choice, str) and choice in _CHOICES:
        return choice, None
    if an_object(choice).get("type") != "allowed_tools":
        return {"type": "function", "function": {"name": _chosen(choice, path)}}, None
    given = members(choice, path, ("type", "mode", "tools"))
    mode = given.get("mode")
    if mode not in ("auto", "required"):
        raise fault(f"{path}.mode", "must be auto or required")
    allowed = typed(given.get("tools"), list, f"{path}.tools")
    return mode, {_chosen(tool, f"{path}.tools.{number}") for number, tool in enumerate(allowed)}


def _chosen(tool: Any, path: str) -> str:
    if an_object(tool).get("type") not in ("function", "custom"):
        raise fault(path, "must be auto, none, required, or a function or custom tool")
    given = members(tool, path, ("type", "name", "namespace"))
    required_string(given, "name", path)
    return sent_name(given)
