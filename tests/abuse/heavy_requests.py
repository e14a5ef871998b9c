"""Requests that take long to read: what a stranger sends must cost less than what it gets."""

from collections.abc import Callable
from functools import partial
from itertools import cycle

from server.providers.for_messages.state import mark_of
from tests.abuse.attackers import MEBIBYTE, POOR, RICH, Attack, Victim, at_once
from tests.endpoints import endpoint, text_config

CHAT, MESSAGES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/embeddings"
LARGEST = 10 * MEBIBYTE
USERS = 20
"""Of an attacker, so that the limits of each do not end the attack."""
NOWHERE = "http://127.0.0.1:9"
"""Where nothing listens."""


def filled(before: bytes, piece: bytes, after: bytes, size: int = LARGEST) -> bytes:
    """A JSON text of at most `size` bytes, with as many pieces as fit, a comma between them."""
    count = (size - len(before) - len(after)) // (len(piece) + 1)
    return before + b",".join([piece] * count) + after


def members(size: int) -> bytes:
    """{"aaaaaa":0,...}: names of members, each of them new."""
    names = (b'"%06x":0' % number for number in range(size // 11))
    return b"{" + b",".join(names) + b"}"


_ASKED = b'{"max_tokens":5,"messages":[{"role":"user","content":'
_ANSWERED = b"}]}"

BODIES: dict[str, Callable[[], bytes]] = {
    "text_blocks": lambda: filled(_ASKED + b"[", b'{"type":"text","text":"a"}', b"]" + _ANSWERED),
    "nested": lambda: _ASKED + b"[" * (LARGEST // 2 - 50) + b"]" * (LARGEST // 2 - 50) + _ANSWERED,
    "escaped": lambda: _ASKED + b'"' + b"\\u00e9" * (LARGEST // 6 - 20) + b'"' + _ANSWERED,
    "tools": lambda: filled(
        b'{"messages":[{"role":"user","content":"Hi"}],"tools":[',
        b'{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}',
        b"]}",
    ),
    "names": lambda: b'{"messages":[],"metadata":' + members(LARGEST - 100) + b"}",
    "digits": lambda: _ASKED + b"1" * (LARGEST - 100) + _ANSWERED,
    "thoughts": lambda: filled(
        b'{"max_tokens":5,"messages":[{"role":"user","content":"Hi"},'
        b'{"role":"assistant","content":[',
        b'{"type":"thinking","signature":"%b","thinking":"%b"}'
        % (mark_of("main", "reasoning_content", {}).encode(), b"x" * 1_500),
        b']},{"role":"user","content":"Hi"}]}',
    ),
    "name_of_a_tool": lambda: (
        b'{"max_tokens":5,"messages":[{"role":"user","content":"Hi"}],'
        b'"tools":[{"input_schema":{},"name":"' + b"a." * (LARGEST // 2 - 100) + b'"}]}'
    ),
    # Of embeddings, which may have the most values: as many as there may be, and more.
    "lists": lambda: filled(b'{"input":[', b"[12345]", b"]}", 1_200_000),
    "texts": lambda: filled(b'{"input":[', b'"{["', b"]}"),
    "brackets_in_a_text": lambda: _ASKED + b'"' + b"[{" * (LARGEST // 2 - 50) + b'"' + _ANSWERED,
}


def _tenant(victim: Victim, group: dict[str, int]) -> str:
    """Its endpoints speak OpenAI's protocol, so that messages are translated."""
    config = text_config({"main": endpoint(NOWHERE)}, anonymous=group)
    embeddings = {"main": {"url": f"{NOWHERE}/v1/embeddings", "default_model": "m"}}
    config["providers"]["embeddings"] = {"endpoints": embeddings}
    return victim.put_tenant(config)


def _send(name: str, group: dict[str, int], path: str, victim: Victim) -> None:
    tenant_id = _tenant(victim, group)
    keys, body = cycle([victim.log_in(tenant_id) for _ in range(USERS)]), BODIES[name]()
    at_once(2, lambda: victim.post(f"/{tenant_id}{path}", next(keys), body))


# The poor ones are refused once it is known that they have no tokens; those of the rich are read,
# translated and sent.
_OF_THE_POOR = ("text_blocks", "nested", "escaped", "names")
_OF_THE_RICH = (
    "text_blocks",
    "tools",
    "thoughts",
    "digits",
    "name_of_a_tool",
    "brackets_in_a_text",
)
_OF_EMBEDDINGS = ("lists", "texts")
ATTACKS = [
    *(Attack(f"poor_{name}", partial(_send, name, POOR, MESSAGES)) for name in _OF_THE_POOR),
    *(Attack(f"rich_{name}", partial(_send, name, RICH, MESSAGES), True) for name in _OF_THE_RICH),
    *(
        Attack(f"embedded_{name}", partial(_send, name, RICH, EMBEDDINGS), True)
        for name in _OF_EMBEDDINGS
    ),
]
