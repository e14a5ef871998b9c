"""State: what a provider wants back in the next turn, where clients of messages send it back.

- Reasoning is a thinking block. Its signature tells which endpoint gave it, and as which member.
- An ID of a call that Anthropic would not take is spelled in letters that it takes; beside it
  stands the signature that Gemini gives a call.

The endpoint that gave them gets them back as they were. Others get the IDs alone, and those of
Anthropic no block that was made here: they would refuse its signature in every turn.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from typing import Any

from server.providers.identifiers import LONGEST_CALL_ID, CallIds, tool_for_anthropic
from server.providers.reading import an_object, objects, string

REASONING = ("reasoning_content", "reasoning")
"""What compatible servers call it. Some name the same reasoning twice."""
_MARK = "vibe-server."
_SPELLED = "vsid_"
_PLAIN = re.compile(rf"(?!{_SPELLED})[A-Za-z0-9_-]+")
_ODD = re.compile(r"[^A-Za-z0-9_]+")
_BYTES = re.compile(r"(?:-[0-9a-f]{2})+")
_THOUGHT, _AGAIN = "-x", "-n"
"""Before the thought's signature, and before a number where an answer has an ID more than once; no
byte is spelled so."""
LONGEST_ID = 256
_LONGEST_THOUGHT = 64 * 1024
_TAG_LENGTH = 8


def mark_of(origin: str, member: str) -> str:
    """The signature of a thinking block made of this member of an answer of the endpoint `origin`;
    '' if that is not known."""
    return f"{_MARK}{_tag(origin)}.{member}" if origin else ""


def reasoning_of(block: dict[str, Any], origin: str) -> dict[str, str]:
    """The member that a thinking block was made of, if the endpoint `origin` gave it; else {}."""
    if not origin:
        return {}
    signature, text = block.get("signature"), string(block.get("thinking"))
    return {member: text for member in REASONING if text and signature == mark_of(origin, member)}


def id_for_client(call: dict[str, Any], origin: str, used: set[str]) -> str:
    """The ID of a chat completion's call, '' if it has none, with its thought's signature; not one
    of those that its answer has `used`, to which it is added."""
    call_id = string(call.get("id"))[:LONGEST_ID]
    google = an_object(an_object(call.get("extra_content")).get("google"))
    thought = string(google.get("thought_signature"))
    kept = ""
    if thought and origin and len(thought) <= _LONGEST_THOUGHT:
        encoded = urlsafe_b64encode(thought.encode(errors="replace")).decode().rstrip("=")
        kept = f"{_THOUGHT}{_tag(origin)}{encoded}"
    if not kept and not call_id:
        return ""
    is_plain = not kept and _PLAIN.fullmatch(call_id)
    spelled = _SPELLED + _ODD.sub(_spelled, call_id)
    found = call_id if is_plain else spelled + kept
    if found in used:
        found = f"{spelled}{_AGAIN}{len(used)}{kept}"
    used.add(found)
    return found


def call_of_client(call_id: str, origin: str) -> dict[str, Any]:
    """The members of a chat completion's call that its ID was made of; `id` alone for results."""
    if not call_id.startswith(_SPELLED):
        return {"id": call_id}
    spelled, _, kept = call_id.removeprefix(_SPELLED).partition(_THOUGHT)
    spelled = spelled.rpartition(_AGAIN)[0] or spelled
    found: dict[str, Any] = {"id": _BYTES.sub(_unspelled, spelled) or call_id}
    if kept and origin and kept.startswith(_tag(origin)):
        encoded = kept[_TAG_LENGTH:]
        try:
            thought = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        except ValueError:
            return found
        found["extra_content"] = {"google": {"thought_signature": thought}}
    return found


def origin_in(body: dict[str, Any], origin: str) -> str:
    """`origin` if the endpoint of this name gave something that the conversation keeps, else ''."""
    return origin if any(_tag(origin) in kept for kept in _kept(body)) else ""


def without_state(body: dict[str, Any]) -> dict[str, Any]:
    """A request as Anthropic takes it: `body` itself if no block or ID in it was made here."""
    if not _has_state(body):
        return body
    call_ids, turns, calls_unthinkingly = CallIds(), [], False
    for turn in body["messages"]:
        content = turn.get("content") if isinstance(turn, dict) else None
        if isinstance(content, list):
            kept = [_with_id(block, call_ids) for block in content if not _is_ours(block)]
            if content and not kept:
                continue  # Anthropic takes no turn without a block
            if turn.get("role") == "assistant":
                has_calls = any(block.get("type") == "tool_use" for block in objects(kept))
                calls_unthinkingly = has_calls and len(kept) < len(content)
            turn = {**turn, "content": kept}
        turns.append(turn)
    sent = {**body, "messages": turns}
    return _unthinking(sent) if calls_unthinkingly else sent


def _unthinking(body: dict[str, Any]) -> dict[str, Any]:
    """Asked to think, Anthropic takes the results of the last answer's calls only if it had thought
    before those; another provider's thoughts are none. So it goes on without."""
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


def _has_state(body: dict[str, Any]) -> bool:
    """Also of what some servers give: IDs that come again, names that no tool can have."""
    ids: set[str] = set()
    for block in _said(body):
        kind = block.get("type")
        if kind == "tool_use":
            call_id = string(block.get("id"))
            if call_id in ids or (len(call_id) > LONGEST_CALL_ID and call_id.startswith(_SPELLED)):
                return True
            if (name := string(block.get("name"))) != tool_for_anthropic(name):
                return True
            ids.add(call_id)
        elif kind == "thinking" and _is_ours(block):
            return True
    return False


def _kept(body: dict[str, Any]) -> Iterator[str]:
    """The marks, and the IDs that we spelled."""
    for block in _said(body):
        name = "signature" if block.get("type") == "thinking" else "id"
        text = string(block.get(name))
        if text.startswith((_MARK, _SPELLED)):
            yield text


def _said(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The blocks of the assistant's turns."""
    messages = body.get("messages")
    for turn in messages if isinstance(messages, list) else ():
        if isinstance(turn, dict) and turn.get("role") == "assistant":
            yield from objects(turn.get("content"))


def _is_ours(block: Any) -> bool:
    """Anthropic's own signatures are not empty."""
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not signature or string(signature).startswith(_MARK)


def _with_id(block: Any, call_ids: CallIds) -> Any:
    if not isinstance(block, dict):
        return block
    if block.get("type") == "tool_use" and (call_id := string(block.get("id"))):
        name = tool_for_anthropic(string(block.get("name")))
        return {**block, "id": call_ids.of_call(call_id), "name": name}
    if block.get("type") == "tool_result" and (call_id := string(block.get("tool_use_id"))):
        return {**block, "tool_use_id": call_ids.of_result(call_id)}
    return block


@lru_cache(1_000)
def _tag(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()[:_TAG_LENGTH]


def _spelled(odd: re.Match[str]) -> str:
    return "".join(f"-{byte:02x}" for byte in odd[0].encode(errors="replace"))


def _unspelled(spelled: re.Match[str]) -> str:
    return bytes.fromhex(spelled[0].replace("-", "")).decode(errors="replace")
