"""Estimates in tokens, for before a call and for calls whose usage was never reported.

Tokenizers differ between providers and models, and most are not public; one that is costs 100 MB
per process. So the rule is by size, as documented in docs/gateway.md:

- a prompt: its JSON (messages, system, tools, formats, and all members that we do not know), one
  token per 3 bytes of UTF-8, rounded up. That is more than English needs (4 to 5 bytes a token),
  about what source code needs. Of members that no model reads what exceeds UNREAD_BYTES counts
  too: they are passed on, and cost us the same;
- an image: `image_tokens` of the endpoint; its bytes do not count;
- output: one token per 4 bytes of UTF-8, rounded up.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from server.providers.options import has_long_cache
from server.providers.reading import an_object, string

PROMPT_BYTES = 3
OUTPUT_BYTES = 4
# In no language does a token have so many characters, or bytes, on average: a text has at least
# its length divided by these in tokens.
MOST_CHARACTERS = 8
MOST_BYTES = 12

UNREAD_BYTES = 16 * 1024
# Written anew, JSON is less than eight times as long: 1e15 has the most.
_LITTLE_BYTES = UNREAD_BYTES // 8
# Members of either protocol that no model reads. Of others we cannot know.
_NOT_READ = frozenset(
    {
        *("frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens"),
        *("metadata", "modalities", "model", "n", "parallel_tool_calls", "presence_penalty"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("safety_identifier", "seed", "service_tier", "stop", "stop_sequences", "store"),
        *("stream", "stream_options", "temperature", "thinking", "top_k", "top_logprobs"),
        *("top_p", "user"),
    }
)
_OF_ANY_SIZE = frozenset({str, list, dict})
# Members that are a word or a name, which some servers put into the prompt, whatever it is.
_WORDS = frozenset({"reasoning_effort", "tool_choice", "verbosity"})
_APART = _NOT_READ | _WORDS
_WORD_BYTES = 100
_UNBOUNDED = ("web_search_options", "mcp_servers", "container")
_SELDOM = frozenset({*_WORDS, *_UNBOUNDED, "tools"})
_BRACKETS = 2
# Is in the types and members of parts that are no text and no image.
_UNBOUNDED_PART = re.compile("audio|video|file|document|pdf", re.IGNORECASE)
_DATA = re.compile("data:[^,]{0,200}", re.IGNORECASE)
# What the types of tools that the client runs begin with; others run at the provider.
_CLIENT_TOOLS = ("function", "custom", "bash_", "text_editor_", "computer_", "memory_")


@dataclass(slots=True)
class Prompt:
    """What a request sends: bytes of JSON without attachments, and how many those are.

    `unbounded_paths`: members whose cost nobody can bound beforehand, of each kind the first.
    `has_long_cache`: it asks for a cache that costs more than the usual one.
    """

    size: int
    attachments: int
    unbounded_paths: tuple[str, ...]
    has_long_cache: bool

    def tokens(self, image_tokens: int, more: int = 0) -> int:
        """`more`: bytes that are sent beside it."""
        return -(-(self.size + more) // PROMPT_BYTES) + self.attachments * image_tokens


class Output:
    """What a call has produced so far, as text."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes of UTF-8."""
        self._characters = 0
        self._doubtful_bytes = 0
        self._doubtful_characters = 0

    def add(self, text: Any) -> None:
        """Counts `text` if it is text."""
        if isinstance(text, str):
            self._characters += len(text)
            self.size += len(text) if text.isascii() else len(text.encode(errors="replace"))

    def add_doubtful(self, text: Any) -> None:
        """Counts `text`, which perhaps the model has not written as it stands: a picture, or the
        arguments of a tool, which servers write anew, with escapes and blanks of their own."""
        if isinstance(text, str):
            before = self.size
            self.add(text)
            self._doubtful_bytes += self.size - before
            self._doubtful_characters += len(text)

    def add_unread(self, size: int, most: int) -> None:
        """Counts `size` bytes that were not looked at, as `most` tokens at most."""
        size = min(size, most * OUTPUT_BYTES)
        self.size += size
        self._doubtful_bytes += size

    @property
    def tokens(self) -> int:
        return -(-self.size // OUTPUT_BYTES)

    def exceeds(self, most: int) -> bool:
        """Is the text more than `most` tokens for certain, whatever its language?"""
        # It has no more characters than bytes.
        if self.size <= most * MOST_CHARACTERS:
            return False
        return _least(self._characters, self.size) > most

    @property
    def least_report(self) -> int:
        """The fewest that a provider can have counted. Half of what is certain, as a token can also
        be a long run of dashes or blanks; but one of anything."""
        certain = _least(
            self._characters - self._doubtful_characters, self.size - self._doubtful_bytes
        )
        return max(certain // 2, 1 if self.size else 0)


def _least(characters: int, size: int) -> int:
    by_characters, by_bytes = characters // MOST_CHARACTERS, size // MOST_BYTES
    return by_characters if by_characters > by_bytes else by_bytes


def measure(body: dict[str, Any], length: float = math.inf) -> Prompt:
    """The prompt of a chat completion or an Anthropic messages request, whose JSON has at most
    `length` bytes."""
    read = [value for name, value in body.items() if name not in _APART]
    text = orjson.dumps(read)
    size = len(text) - (len(read) + 1 if read else 2)  # less commas and brackets
    is_plain = _SELDOM.isdisjoint(body)  # as most are, and of text alone
    if length > _LITTLE_BYTES or not is_plain:
        size += _size_apart(body)
    unbounded = [] if is_plain else _unbounded_members(body)
    has_objects = b'":{' in text or "cache_control" in body
    may_cache = has_objects and b"ttl" in text.lower()
    attachments, of_part = 0, ""
    # The first two brackets are of `read` and of the messages.
    may_have_parts = has_objects or text.count(b"[") > _BRACKETS or b'"audio"' in text
    for path, part in _parts(body.get("messages")) if may_have_parts else ():
        payload, is_bounded = _attachment(part)
        if payload is not None:
            attachments += 1
            size -= payload
        if not is_bounded or part.get("file_id") is not None:
            of_part = of_part or path
    if of_part:
        unbounded.append(of_part)
    return Prompt(size, attachments, tuple(unbounded), may_cache and has_long_cache(body))


def _size_apart(body: dict[str, Any]) -> int:
    """Of members that count only as far as they are large."""
    size = unread = 0
    for name in _APART & body.keys():
        value = body[name]
        if name in _WORDS:
            size += max(len(orjson.dumps(value)) - _WORD_BYTES, 0)
        elif type(value) in _OF_ANY_SIZE:
            unread += len(orjson.dumps(value))
    return size + max(unread - UNREAD_BYTES, 0)


def _unbounded_members(body: dict[str, Any]) -> list[str]:
    found = [name for name in _UNBOUNDED if body.get(name) not in (None, [])]
    tools = body.get("tools")
    if not isinstance(tools, list | None):
        return [*found, "tools"]
    for number, tool in enumerate(tools or ()):
        if not _is_of_client(tool):
            return [*found, f"tools.{number}"]
    return found


def _is_of_client(tool: Any) -> bool:
    if not isinstance(tool, dict):
        return False
    # Another "Type" may be the one that a server reads.
    kinds = [kind for name, kind in tool.items() if name.casefold() == "type" and kind is not None]
    # Some servers have tools of their own that are named by a member alone.
    is_named = bool(kinds) or "name" in tool or "function" in tool
    return is_named and all(
        isinstance(kind, str) and kind.startswith(_CLIENT_TOOLS) for kind in kinds
    )


def _parts(messages: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part of each message, those in tool results and documents too, with its path."""
    waiting: list[tuple[str, Any]] = []
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        if isinstance(content, list | dict):
            parts = content if isinstance(content, list) else [content]
            waiting.append((f"messages.{number}.content", parts))
        if message.get("audio") is not None:  # of an earlier answer
            waiting.append((f"messages.{number}", [{"audio": message["audio"]}]))
    while waiting:
        path, parts = waiting.pop()
        for number, part in enumerate(parts if isinstance(parts, list) else ()):
            if not isinstance(part, dict):
                continue
            here, source = f"{path}.{number}", part.get("source")
            yield here, part
            waiting.append((f"{here}.content", part.get("content")))
            if isinstance(source, dict):
                waiting.append((f"{here}.source.content", source.get("content")))


def _attachment(part: dict[str, Any]) -> tuple[int | None, bool]:
    """The bytes of a part's payload, None if it is text; and whether its cost can be bounded."""
    kind, source = part.get("type"), part.get("source")
    if kind == "image_url":
        image = part.get("image_url")
        url = string(image.get("url") if isinstance(image, dict) else image)
        data = _DATA.match(url)
        return len(url), data is None or not _UNBOUNDED_PART.search(data[0])
    if kind in ("input_audio", "file"):
        inner = an_object(part.get(kind))
        return len(string(inner.get("data") or inner.get("file_data"))), False
    if kind not in ("image", "document", "container_upload"):
        return _other_attachment(part)
    if not isinstance(source, dict):
        return 0, kind == "image"
    if kind == "document" and source.get("type") in ("text", "content"):
        return None, True
    is_bounded = kind == "image" and source.get("type") != "file"
    return len(string(source.get("data") or source.get("url"))), is_bounded


def _other_attachment(part: dict[str, Any]) -> tuple[int | None, bool]:
    """As `_attachment`, of a part that is text, or what other servers have: by its type, or by a
    member, where they do without."""
    if len(part) == 2 and part.get("type") == "text" and "text" in part:  # as nearly all
        return None, True
    names = [string(part.get("type")), *(name for name in part if part[name] is not None)]
    if any(_UNBOUNDED_PART.search(name) for name in names):
        return None, False
    return (0 if any("image" in name.casefold() for name in names) else None), True
