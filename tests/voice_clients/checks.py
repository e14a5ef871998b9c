"""What is true of a conversation, whatever client had it."""

from itertools import pairwise
from typing import Any

from tests.processes import eventually
from tests.voice_clients.callers import Caller

TEXT = "One two three four five."
AUDIO_BYTES = 24_000
"""What the double speaks in a turn."""


def was_charged_as_reported(caller: Caller, found: dict[str, Any], tokens: int) -> None:
    """Each response and transcript by its usage, which the client saw its balance fall by."""
    transcripts = found.get("transcriptions", [])
    usages = [response["usage"] for response in found["responses"]]
    totals = [usage["total_tokens"] for usage in usages + transcripts]
    assert found["balances"][-1] == tokens - sum(totals)
    if not transcripts:  # beside which a response may hold something
        falls = [before - after for before, after in pairwise([tokens, *found["balances"]])]
        assert falls == totals
    eventually(lambda: caller.user.balance()["tokensHeld"] == 0)
    assert caller.user.balance()["tokensLeft"] == tokens - sum(totals)
    [session] = caller.double.sessions(caller.model)
    assert session.used == sum(totals)
    refs = [entry["ref"] for entry in caller.settles()]
    assert sorted(ref["input"] + ref["output"] for ref in refs) == sorted(totals)
    assert [ref["response"] for ref in refs if "response" in ref] == [
        response["id"] for response in found["responses"]
    ]


def was_said(found: dict[str, Any], turns: int) -> None:
    assert found["transcript"] == TEXT * turns, found
    assert found["audioBytes"] == AUDIO_BYTES * turns
    assert found["kinds"][0] == "session.created"


def was_cut_off(caller: Caller, found: dict[str, Any], tokens: int) -> None:
    """When all was used up, and no more than that."""
    reason = "insufficient_quota.insufficient_quota"
    assert found["closed"] == {"code": 4402, "reason": reason}, found
    assert found["errors"][-1] == "insufficient_quota"
    assert len(found["responses"]) > 1
    assert caller.double.used(caller.model) <= tokens
    eventually(lambda: caller.user.balance()["tokensHeld"] == 0)
    assert caller.user.balance()["tokensLeft"] == tokens - caller.double.used(caller.model)
