"""History: a conversation as endpoints of Anthropic's protocol take it back.

They would refuse in every turn what other endpoints have given: thinking with a signature of ours,
IDs that come again, names that no tool can have, texts of nothing but blanks, answers of nothing at
all. And if they are asked to think, they want an answer that has called tools to begin with
thoughts of their own.
"""

from typing import Any

from server.providers.for_messages.state import SPELLED, answers, is_ours
from server.providers.identifiers import LONGEST_CALL_ID, CallIds, tool_for_anthropic
from server.providers.reading import an_object, objects, string

_THOUGHTS = ("thinking", "redacted_thinking")


def for_anthropic(body: dict[str, Any]) -> dict[str, Any]:
    """`body` itself if nothing in it is refused."""
    sent, is_unthinking = body, False
    if _is_refused(body):
        call_ids, turns = CallIds(), []
        for turn in body["messages"]:
            if not isinstance(turn, dict):
                turns.append(turn)
                continue
            is_answer, content = turn.get("role") == "assistant", turn.get("content")
            if isinstance(content, list):
                blocks = _taken(content) if is_answer else content
                turn = {**turn, "content": [_with_id(block, call_ids) for block in blocks]}
            if is_answer:
                is_unthinking = _has_calls(turn) and any(map(is_ours, objects(content)))
                if _is_blank(turn.get("content")):
                    continue
            turns.append(turn)
        sent = {**body, "messages": turns}
    return _unthinking(sent) if is_unthinking or _begins_unthinkingly(sent) else sent


def _is_refused(body: dict[str, Any]) -> bool:
    """Is something in its answers? They may have very many blocks, of few tools."""
    ids: set[str] = set()
    names: set[str] = set()
    for content in answers(body):
        if _is_blank(content):
            return True
        for block in objects(content):
            kind = block.get("type")
            if kind == "text":
                if _is_blank(block.get("text")):
                    return True
            elif kind == "tool_use":
                call_id, name = string(block.get("id")), string(block.get("name"))
                if call_id in ids or (
                    len(call_id) > LONGEST_CALL_ID and call_id.startswith(SPELLED)
                ):
                    return True
                if name not in names and name != tool_for_anthropic(name) and "name" in block:
                    return True
                ids.add(call_id)
                names.add(name)
            elif is_ours(block):
                return True
    return False


def _taken(blocks: list[Any]) -> list[Any]:
    """Those of an answer that are."""
    return [
        block
        for block in blocks
        if not isinstance(block, dict)
        or not (is_ours(block) or (block.get("type") == "text" and _is_blank(block.get("text"))))
    ]


def _is_blank(text: Any) -> bool:
    """Is it a text, or a list of blocks, of nothing?"""
    return text.isspace() or not text if isinstance(text, str) else text == []


def _has_calls(turn: dict[str, Any]) -> bool:
    return any(block.get("type") == "tool_use" for block in objects(turn.get("content")))


def _begins_unthinkingly(body: dict[str, Any]) -> bool:
    """Has the answer whose calls have their results now no thoughts at its beginning?"""
    first: list[dict[str, Any]] = []
    if an_object(body.get("thinking")).get("type") != "enabled":
        return False
    for turn in reversed(objects(body.get("messages"))):
        blocks = objects(turn.get("content"))
        if turn.get("role") == "assistant":
            first = blocks
        elif not any(block.get("type") == "tool_result" for block in blocks):
            break
    return bool(first) and first[0].get("type") not in _THOUGHTS


def _unthinking(body: dict[str, Any]) -> dict[str, Any]:
    """Without being asked to think, where the thoughts before the last calls are not Anthropic's:
    it would refuse the results of these."""
    if an_object(body.get("thinking")).get("type") != "enabled":
        return body
    management = an_object(body.get("context_management"))
    edits = [
        edit
        for edit in objects(management.get("edits"))
        if not string(edit.get("type")).startswith("clear_thinking_")
    ]
    sent = {name: value for name, value in body.items() if name != "context_management"}
    kept = {"context_management": {**management, "edits": edits}} if edits else {}
    return {**sent, "thinking": {"type": "disabled"}, **kept}


def _with_id(block: Any, call_ids: CallIds) -> Any:
    if not isinstance(block, dict):
        return block
    if block.get("type") == "tool_use" and (call_id := string(block.get("id"))):
        block = {**block, "id": call_ids.of_call(call_id)}
        if isinstance(name := block.get("name"), str):
            block["name"] = tool_for_anthropic(name)
        return block
    if block.get("type") == "tool_result" and (call_id := string(block.get("tool_use_id"))):
        return {**block, "tool_use_id": call_ids.of_result(call_id)}
    return block
