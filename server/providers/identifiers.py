"""Identifiers on their way to the other protocol, which takes fewer letters, or fewer of them.

One that does not fit becomes its hash: the same for the same one, in each turn and each worker.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter, defaultdict, deque
from functools import lru_cache
from hashlib import sha256

LONGEST_CALL_ID = 64
REMEMBERED = 1_000
"""Names of users; some 300 bytes each."""
_LONGEST_OF_OPENAI = 40
_OF_A_CALL = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_CALL_ID}}}")
LONGEST_TOOL = 128
_LONGEST_TOOL_OF_OPENAI = 64
_OF_A_TOOL = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_TOOL}}}")
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def call_for_openai(call_id: str) -> str:
    """The ID of a call. Other servers of the protocol have longer ones."""
    return call_id if len(call_id) <= _LONGEST_OF_OPENAI else _short(call_id)


def tool_for_anthropic(name: str) -> str:
    """The name of a tool that an answer has called. Models make up some that no request can offer,
    as `multi_tool_use.parallel`, and a conversation must go on after that."""
    return name if _OF_A_TOOL.fullmatch(name) else _ODD.sub("_", name[:LONGEST_TOOL]) or "_"


def tool_for_openai(name: str) -> str:
    """The name of a tool, of which Anthropic takes longer ones. Its beginning tells the model most,
    its hash keeps it apart from others."""
    if len(name) <= _LONGEST_TOOL_OF_OPENAI and _OF_A_TOOL.fullmatch(name):
        return name
    beginning = _ODD.sub("_", name[: _LONGEST_TOOL_OF_OPENAI - 9])
    return f"{beginning}_{_hash(name)[:8]}"


def to_letters(data: bytes) -> str:
    """In letters that IDs and signatures may have."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_letters(text: str) -> bytes:
    """Raises ValueError for what `to_letters` has not made."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class CallIds:
    """Those of the calls in one conversation, as Anthropic takes them: `[A-Za-z0-9_-]`, at most 64,
    none twice. Some servers number their calls anew in each answer: then a result is that of the
    oldest call of its ID that has none yet."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._times: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[str]] = defaultdict(deque)
        self._answered: dict[str, str] = {}

    def of_call(self, call_id: str) -> str:
        fitting = _fitting(call_id)
        while fitting in self._used:
            self._times[call_id] += 1
            fitting = _short(f"{call_id} {self._times[call_id]}")
        self._used.add(fitting)
        self._waiting[call_id].append(fitting)
        return fitting

    def is_waiting(self, call_id: str) -> bool:
        """Is there a call of this ID without a result?"""
        return bool(self._waiting[call_id])

    def of_result(self, call_id: str) -> str:
        if self._waiting[call_id]:
            self._answered[call_id] = self._waiting[call_id].popleft()
        return self._answered.get(call_id) or _fitting(call_id)


def _fitting(call_id: str) -> str:
    return call_id if _OF_A_CALL.fullmatch(call_id) else _short(call_id)


def _short(call_id: str) -> str:
    return f"id_{_hash(call_id)[:32]}"


def _hash(text: str) -> str:
    return sha256(text.encode(errors="replace")).hexdigest()


@lru_cache(REMEMBERED)
def user_of_tenant(tenant_id: str, user_id: str) -> str:
    """What providers know a user by, who may ban it: nobody else's choice, and no name."""
    return _hash(f"{tenant_id}:{user_id}")
