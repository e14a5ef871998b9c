"""Tools that a request offers: which of them the client runs. What others cost nobody knows."""

from typing import Any

from server.providers.reading import an_object

# What the types of those begin with that the client runs; others run at the provider.
_OF_CLIENTS = ("function", "custom", "bash_", "text_editor_", "computer_2", "memory_")


def first_hosted(tools: Any, path: str, *, spares_offline: bool = False) -> str:
    """The path of the first that runs at the provider, '' if none does; `spares_offline`: but for
    what `is_offline_search` knows."""
    if not isinstance(tools, list | None):
        return path
    for number, tool in enumerate(tools or ()):
        if not is_of_client(tool) and not (spares_offline and is_offline_search(tool)):
            return f"{path}.{number}"
    return ""


def is_offline_search(tool: Any) -> bool:
    """A search of nothing but what the provider has of the web anyway. Codex offers it with each
    response, asked to or not: left out, it is missed by nobody, and refused, Codex cannot be used.
    """
    return isinstance(tool, dict) and tool == {"type": "web_search", "external_web_access": False}


def is_of_client(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    # Another "Type" may be the one that a server reads.
    kinds = [kind for name, kind in tool.items() if name.casefold() == "type" and kind is not None]
    # Some servers have tools of their own that are named by a member alone.
    is_named = bool(kinds) or "name" in tool or "function" in tool
    return is_named and all(
        isinstance(kind, str) and _is_run_by_client(kind, tool) for kind in kinds
    )


def _is_run_by_client(kind: str, tool: dict[str, Any]) -> bool:
    match kind:
        case "local_shell" | "apply_patch":
            return True
        case "shell":
            return an_object(tool.get("environment")).get("type") == "local"
        case "tool_search":
            return tool.get("execution") == "client"
        case "namespace":
            return not first_hosted(tool.get("tools"), "tools")
    return kind.startswith(_OF_CLIENTS)
