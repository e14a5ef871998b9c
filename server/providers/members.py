"""Checks of requests to be translated: members, their types, their paths."""

from collections.abc import Collection
from typing import Any, TypeVar

from server.errors import Unsupported

T = TypeVar("T")

_KINDS = {bool: "true or false", dict: "an object", list: "a list", str: "a string"}
_LONGEST_NAME = 64


def fault(path: str, what: str) -> Unsupported:
    return Unsupported(path, f"{path} {what}")


def typed(value: Any, kind: type[T], path: str) -> T:
    if not isinstance(value, kind):
        raise fault(path, f"must be {_KINDS[kind]}")
    return value


def members(
    value: Any, path: str, known: Collection[str], ignored: Collection[str] = ()
) -> dict[str, Any]:
    """The known ones that are not null; there may be no others but the ignored."""
    found = {}
    for name, member in typed(value, dict, path).items():
        if member is None or name in ignored:
            continue
        if name not in known:
            where = f"{path}.{name[:_LONGEST_NAME]}" if path else name[:_LONGEST_NAME]
            raise fault(where, "is not supported with this model")
        found[name] = member
    return found


def refuse_others(body: dict[str, Any], known: Collection[str], what: str) -> None:
    """Raises Unsupported if `what` is asked for with members that are not known, and not null."""
    for name, value in body.items():
        if name not in known and value is not None:
            raise Unsupported(name[:100], f"{name[:100]} is not supported for {what}")


def required_string(holder: dict[str, Any], name: str, path: str) -> str:
    """A required member; not empty."""
    text = typed(holder.get(name), str, f"{path}.{name}")
    if not text:
        raise fault(f"{path}.{name}", "must not be empty")
    return text


def function(holder: dict[str, Any], path: str, known: Collection[str]) -> dict[str, Any]:
    """The members of the function in OpenAI's tools, tool calls and tool choices."""
    if holder.get("type") != "function":
        raise fault(f"{path}.type", "must be function")
    return members(holder.get("function"), f"{path}.function", known)
