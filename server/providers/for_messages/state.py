"""State: what a provider wants back in the next turn, where clients of messages send it back.

- Reasoning is a thinking block. Its signature tells which endpoint gave it, and as which member,
  and has its details (details.py).
- An ID of a call that Anthropic would not take is spelled in letters that it takes; beside it
  stands the signature that Gemini gives a call. Of one that OpenAI would not take a hash is before
  it, which other endpoints get instead.

The endpoint that gave them gets them back as they were. Others get the IDs alone; those of
Anthropic see history.py.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from string import ascii_letters, digits
from typing import Any

from server.providers.for_messages.details import Decoder, Members, encoded
from server.providers.identifiers import call_for_openai, from_letters, to_letters
from server.providers.reading import an_object, objects, string

REASONING = ("reasoning_content", "reasoning")
"""What compatible servers call it. Some name the same reasoning twice."""
MARK = "vibe-server."
"""What our signatures begin with."""
SPELLED = "vsid_"
_PLAIN = re.compile(rf"(?!{SPELLED})[A-Za-z0-9_-]+")
_UNCHANGED = f"{ascii_letters}{digits}_".encode()
_BYTES = re.compile(r"(?:-[0-9a-f]{2})+")
_THOUGHT, _LONG, _AGAIN = "-x", "-l", "-n"
"""Before the thought's signature, before an ID that is long, and before a number where an answer
has an ID more than once; no byte is spelled so."""
LONGEST_ID = 64 * 1024
"""Of those that servers give: LiteLLM has the signatures of thoughts in them."""
_LONGEST_SPELLED = 20 * LONGEST_ID
"""Of those that are made of one of these and of a signature as long, whatever letters they have."""
_SHORT = 64
_MOST_KINDS = 8
_HYPHEN = ord("-")
_TAG_LENGTH = 8


def mark_of(origin: str, member: str, details: Members) -> str:
    """The signature of a thinking block made of this member of an answer of the endpoint `origin`,
    '' if there was none; '' if the endpoint is not known."""
    return marked(origin, member, encoded(details)) if origin else ""


def marked(origin: str, member: str, kept: str) -> str:
    """What the endpoint `origin` gave, and as which member."""
    return f"{MARK}{_tag(origin)}.{member}" + (f".{kept}" if kept else "")


def unmarked(text: str, origin: str) -> tuple[str, str]:
    """`member` and `kept` of what was `marked` for this endpoint; '' for anything else."""
    mark = f"{MARK}{_tag(origin)}."
    if not origin or not text.startswith(mark):
        return "", ""
    member, _, kept = text.removeprefix(mark).partition(".")
    return member, kept


def reasoning_of(block: dict[str, Any], origin: str, decoder: Decoder) -> dict[str, Any]:
    """The members that a thinking block was made of, if the endpoint `origin` gave it; else {}."""
    text = string(block.get("thinking"))
    member, kept = unmarked(string(block.get("signature")), origin)
    found: dict[str, Any] = {member: text} if text and member in REASONING else {}
    return {**found, **(decoder.decoded(kept) if kept else {})}


def thought_of(call: dict[str, Any]) -> str:
    """The signature of a chat completion's call; '' if there is none, or it is too long."""
    if "extra_content" not in call:  # as in nearly all
        return ""
    google = an_object(an_object(call["extra_content"]).get("google"))
    thought = string(google.get("thought_signature"))
    return thought if len(thought) <= LONGEST_ID else ""


def id_for_client(call: dict[str, Any], origin: str, used: set[str]) -> str:
    """The ID of a chat completion's call, '' if it has none, with its thought's signature; not one
    of those that its answer has `used`, to which it is added."""
    call_id = string(call.get("id"))[:LONGEST_ID]
    thought = thought_of(call)
    kept = ""
    if thought and origin:
        kept = f"{_THOUGHT}{_tag(origin)}{to_letters(thought.encode(errors='replace'))}"
    if not kept and not call_id:
        return ""
    short = call_for_openai(call_id)
    if short != call_id and origin:
        kept = f"{_LONG}{_tag(origin)}{_spelled(call_id)}{kept}"
    is_plain = not kept and _PLAIN.fullmatch(short)
    spelled = SPELLED + _spelled(short)
    found = short if is_plain else spelled + kept
    if found in used:
        found = f"{spelled}{_AGAIN}{len(used)}{kept}"
    used.add(found)
    return found


def call_of_client(call_id: str, origin: str) -> dict[str, Any]:
    """The members of a chat completion's call that its ID was made of, as `origin` takes it."""
    if not call_id.startswith(SPELLED) or len(call_id) > _LONGEST_SPELLED:
        return {"id": call_for_openai(call_id)}
    spelled, _, kept = call_id.removeprefix(SPELLED).partition(_THOUGHT)
    spelled, _, long = spelled.partition(_LONG)
    spelled = spelled.rpartition(_AGAIN)[0] or spelled
    if long and origin and long.startswith(_tag(origin)):
        spelled = long[_TAG_LENGTH:]
    found: dict[str, Any] = {"id": _BYTES.sub(_unspelled, spelled) or call_id}
    if kept and origin and kept.startswith(_tag(origin)):
        try:
            thought = from_letters(kept[_TAG_LENGTH:]).decode()
        except ValueError:
            return found
        found["extra_content"] = {"google": {"thought_signature": thought}}
    return found


def origin_in(body: dict[str, Any], origin: str) -> str:
    """`origin` if the endpoint of this name gave something that the conversation keeps, else ''."""
    return origin if any(gave(origin, kept) for kept in _kept(body)) else ""


def gave(origin: str, text: str) -> bool:
    """Is it a mark, or an ID that we spelled, of something that this endpoint gave?"""
    return text.startswith((MARK, SPELLED)) and _tag(origin) in text


def is_ours(block: Any) -> bool:
    """Is it a thinking block that was made here? Anthropic's own signatures are not empty."""
    if not isinstance(block, dict) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not signature or string(signature).startswith(MARK)


def _kept(body: dict[str, Any]) -> Iterator[str]:
    """What may be a mark, or an ID that we spelled."""
    for block in (block for content in answers(body) for block in objects(content)):
        yield string(block.get("signature" if block.get("type") == "thinking" else "id"))


def answers(body: dict[str, Any]) -> Iterator[Any]:
    """The contents of the assistant's turns."""
    for turn in objects(body.get("messages")):
        if turn.get("role") == "assistant":
            yield turn.get("content")


@lru_cache(1_000)
def _tag(origin: str) -> str:
    return sha256(origin.encode()).hexdigest()[:_TAG_LENGTH]


def _spelled(text: str) -> str:
    """Each byte but letters, digits and _ as `-` and two digits. Of a long text in which many are
    so, or many different ones, all are: a step for each would hold everybody else up."""
    data = text.encode(errors="replace")
    odd = data.translate(None, _UNCHANGED)
    is_mostly_odd = 4 * len(odd) > len(data)
    if len(data) > _SHORT and (is_mostly_odd or len(set(odd)) > _MOST_KINDS):
        return f"-{data.hex('-')}"
    for kind in sorted(set(odd), key=lambda kind: kind != _HYPHEN):  # first what others become
        data = data.replace(bytes((kind,)), b"-%02x" % kind)
    return data.decode()


def _unspelled(spelled: re.Match[str]) -> str:
    return bytes.fromhex(spelled[0].replace("-", "")).decode(errors="replace")
