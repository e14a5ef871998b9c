"""How far an answer has come, after whatever can happen to it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.providers.errors import ProviderError, ProviderRefused, ProviderTimeout
from server.providers.progress import Progress
from server.providers.tally import ChatTally, MessageTally
from server.providers.usage import Counts

EVENTS = ("answer", "finish", "end", "cut", "fail")
OVER = {"ended", "refused", "broken"}
USAGE = Counts(3, 4)


def after(events: str) -> Progress:
    progress = Progress()
    for event in events.split():
        tell(progress, event)
    return progress


def tell(progress: Progress, event: str) -> None:
    if event == "fail":
        progress.fail(ProviderTimeout())
    elif event == "report":
        progress.report(USAGE)
    elif event == "begin":
        progress.report(USAGE, is_final=False)
    elif event == "trust":
        progress.trust_usage()
    else:
        getattr(progress, event)()


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("", "waiting"),
        ("answer answer", "answering"),
        ("answer finish", "finished"),
        ("finish", "waiting"),
        ("answer end", "broken"),
        ("answer finish end", "ended"),
        ("answer finish cut", "ended"),
        ("end", "refused"),
        ("cut", "refused"),
        ("fail", "refused"),
        ("answer cut", "broken"),
        ("answer fail", "broken"),
        ("answer finish fail", "broken"),
    ],
)
def test_states(events: str, state: str) -> None:
    assert after(events).state == state


@given(st.lists(st.sampled_from(EVENTS)))
def test_what_is_over_stays_over(events: list[str]) -> None:
    progress = Progress()
    for event in events:
        before, failure = progress.state, progress.failure
        tell(progress, event)
        if before in OVER:
            assert (progress.state, progress.failure) == (before, failure)
        assert progress.goes_on == (progress.state not in OVER)
        assert (progress.failure is not None) == (progress.state in OVER - {"ended"})


@pytest.mark.parametrize(
    ("events", "is_all"),
    [
        ("answer", False),
        ("answer report", False),
        ("answer report finish", False),
        ("answer finish report", True),
        ("answer end report", False),
        ("answer report finish report fail", True),
        ("answer report fail", False),
        ("answer finish begin", False),
        ("answer finish report begin", True),
        ("answer report trust", False),
        ("answer report finish end trust", True),
        ("answer report end trust", False),
        ("answer report cut trust", False),
    ],
)
def test_usage_is_all_when_the_answer_has_finished(events: str, is_all: bool) -> None:
    progress = after(events)
    assert progress.has_all_usage is is_all
    assert progress.usage == (USAGE if "report" in events or "begin" in events else None)


def delta(usage: object) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


def start(usage: object) -> dict[str, object]:
    return {"type": "message_start", "message": {"usage": usage}}


ALL = {"input_tokens": 3, "output_tokens": 4}
BEGUN = {"input_tokens": 3, "output_tokens": 1}


@pytest.mark.parametrize(
    ("events", "usage", "is_all"),
    [
        ([start(BEGUN), delta({"output_tokens": 4})], USAGE, True),
        ([start(BEGUN), delta({"input_tokens": 0, "output_tokens": 4})], USAGE, True),
        ([start(BEGUN), delta({"input_tokens": 3})], Counts(3, 1), False),
        ([start(BEGUN), delta({})], Counts(3, 1), False),
        ([start(BEGUN), delta("4")], Counts(3, 1), False),
        ([start(BEGUN)], Counts(3, 1), False),
        # Out of order: what a message begins with is never all of it.
        ([delta({"output_tokens": 4}), start({"input_tokens": 0})], Counts(0, 4), True),
        ([delta(None), start(ALL)], USAGE, False),
        ([delta(ALL), start(BEGUN)], USAGE, True),
    ],
)
def test_what_a_message_reports(
    events: list[dict[str, object]], usage: Counts, is_all: bool
) -> None:
    tally = MessageTally()
    for event in events:
        tally.see(orjson.dumps(event))
    assert (tally.progress.usage, tally.progress.has_all_usage) == (usage, is_all)


def test_a_ping_is_nothing_of_an_answer() -> None:
    tally = ChatTally()
    choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}
    tally.see(orjson.dumps({"type": "ping", "choices": [choice]}))
    tally.cut()
    assert tally.progress.state == "refused"


@pytest.mark.parametrize("begun", ["", "answer"])
def test_a_client_that_has_nothing_gets_a_fault_of_the_provider(begun: str) -> None:
    """Whatever it is that the provider says in the midst of a reply of status 200."""
    progress = after(begun)
    progress.fail(ProviderRefused(400, "No", "invalid_request_error", None, None))
    assert isinstance(progress.failure, ProviderRefused)
    assert type(progress.refusal) is ProviderError
    timed_out = after(f"{begun} fail")
    assert timed_out.refusal is timed_out.failure
