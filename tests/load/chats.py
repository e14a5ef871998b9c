"""Chats in the protocols of both SDKs, as far as a load test looks into them."""

import json
from typing import Any

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
HEADERS = {"anthropic-version": "2023-06-01"}
_LAST_LINE = {"openai": b"data: [DONE]", "anthropic": b'data: {"type":"message_stop"}'}
_QUESTION = "Why is metering in one atomic step a good idea? Answer in a few words."


def request_body(protocol: str, stream: bool) -> dict[str, Any]:
    """Without a model: the tenant's default endpoint takes its own."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": _QUESTION}]}
    if protocol == "anthropic":
        return {**body, "max_tokens": 100, "stream": stream}
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return {**body, "max_completion_tokens": 100, "stream": stream, **options}


def used_in(usage: dict[str, Any]) -> int:
    """What it costs where the endpoint's weight is 1."""
    if "total_tokens" in usage:
        return int(usage["total_tokens"])
    cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
    counts = ("input_tokens", "output_tokens", *cached)
    return sum(int(usage.get(name) or 0) for name in counts)


class Stream:
    """The events of a stream, fed as they come."""

    def __init__(self, protocol: str) -> None:
        self.is_whole = False
        self.used = 0
        self._last_line = _LAST_LINE[protocol]
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self.is_whole |= line == self._last_line
            if line.startswith(b"data: {") and b'"usage":{' in line:
                # The last one counts all; Anthropic's opening has one too, within its message.
                usage = json.loads(line.removeprefix(b"data: ")).get("usage")
                self.used = used_in(usage) if usage else self.used
