"""What must be true of the money afterwards."""

from typing import Any

from tests.doubles.realtime import Response
from tests.faults.checks import audit
from tests.processes import eventually
from tests.voice_endings.talkers import TOKENS, Crowd, Talker

# An estimate against what was used; the input is estimated by its bytes.
LEAST_SHARE, LARGEST_SHARE = 0.8, 3
SETTLED_SECONDS = 20
"""For the last of a crowd, most of which end at a time."""


def check(crowd: Crowd, redis_url: str, may_be_lost: bool = False) -> int:
    """`may_be_lost`: a response may go without a charge, since its worker was killed. Gives how
    many were charged by estimates."""
    estimates = 0
    assert crowd.are_speaking()
    for talker in crowd.talkers:
        eventually(lambda t=talker: t.user.balance()["tokensHeld"] == 0, SETTLED_SECONDS)  # type: ignore[misc]
        estimates += _check(talker, crowd.responses(talker), may_be_lost)
    audit(redis_url, crowd.api.tenant_id)
    return estimates


def _check(talker: Talker, responses: list[Response], may_be_lost: bool) -> int:
    assert talker.heard, "it had no session"
    refs = [entry["ref"] for entry in talker.user.ledger("?limit=200") if entry["op"] == "settle"]
    charged = sum(ref["input"] + ref["output"] for ref in refs)
    assert talker.user.balance()["tokensLeft"] == TOKENS - charged, talker
    known = [ref["response"] for ref in refs if ref.get("response")]
    assert len(known) == len(set(known)), f"charged twice: {refs}"
    by_id = {response.response_id: response for response in responses}
    assert len(known) == len(refs), refs
    assert set(known) <= set(by_id), (refs, responses)
    if not may_be_lost:
        told = {each.response_id for each in responses if each.status != "in_progress"}
        assert told <= set(known), (refs, responses)
    for ref in refs:
        _check_cost(ref, by_id[ref["response"]])
    return sum(bool(ref.get("estimated")) for ref in refs)


def _check_cost(ref: dict[str, Any], response: Response) -> None:
    cost = ref["input"] + ref["output"]
    if not ref.get("estimated"):
        assert cost == response.used, (ref, response)
        return
    assert response.input * LEAST_SHARE <= cost <= response.used * LARGEST_SHARE, (ref, response)
