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
from dataclasses import dataclass
from typing import Any

import orjson

from server.providers.attachments import attachment, parts_of
from server.providers.options import has_long_cache
from server.providers.reading import objects
from server.providers.tools import first_hosted

PROMPT_BYTES = 3
OUTPUT_BYTES = 4
# In no language does a token have so many characters, or bytes, on average: a text has at least
# its length divided by these in tokens.
MOST_CHARACTERS = 8
MOST_BYTES = 12

UNREAD_BYTES = 16 * 1024
# Written anew, JSON is less than eight times as long: 1e15 has the most.
_LITTLE_BYTES = UNREAD_BYTES // 8
# Members of any operation that no model reads. Of others we cannot know.
_NOT_READ = frozenset(
    {
        *("client_metadata", "frequency_penalty", "include", "logit_bias", "logprobs"),
        *(
            "max_completion_tokens",
            "max_output_tokens",
            "max_tokens",
            "max_tool_calls",
            "truncation",
        ),
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


def measure(body: dict[str, Any], length: float = math.inf, turns: str = "messages") -> Prompt:
    """The prompt of a request for text, whose JSON has at most `length` bytes; what was said is in
    its member `turns`."""
    read = [value for name, value in body.items() if name not in _APART]
    text = orjson.dumps(read)
    size = len(text) - (len(read) + 1 if read else 2)  # less commas and brackets
    is_plain = _SELDOM.isdisjoint(body)  # as most are, and of text alone
    if length > _LITTLE_BYTES or not is_plain:
        size += _size_apart(body)
    unbounded = [] if is_plain else _unbounded_members(body, turns == "input")
    has_objects = b'":{' in text or "cache_control" in body
    may_cache = has_objects and b"ttl" in text.lower()
    attachments, of_part = 0, ""
    # The first two brackets are of `read` and of the messages.
    may_have_parts = has_objects or text.count(b"[") > _BRACKETS or b'"audio"' in text
    for path, part in parts_of(turns, body.get(turns)) if may_have_parts else ():
        payload, is_bounded = attachment(part)
        if payload is not None:
            attachments += 1
            size -= payload
        if not is_bounded or part.get("file_id") is not None:
            of_part = of_part or path
    if of_part:
        unbounded.append(of_part)
    if turns == "input" and b'"tools"' in text:
        unbounded += _hosted_in_items(body)
    return Prompt(size, attachments, tuple(unbounded), may_cache and has_long_cache(body))


def _hosted_in_items(body: dict[str, Any]) -> list[str]:
    """Items of responses can offer tools, too."""
    for number, item in enumerate(objects(body.get("input"))):
        if hosted := first_hosted(item.get("tools"), f"input.{number}.tools"):
            return [hosted]
    return []


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


def _unbounded_members(body: dict[str, Any], of_response: bool) -> list[str]:
    found = [name for name in _UNBOUNDED if body.get(name) not in (None, [])]
    hosted = first_hosted(body.get("tools"), "tools", spares_offline=of_response)
    return [*found, hosted] if hosted else found
