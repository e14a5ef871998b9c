"""How far an answer has come, after whatever can happen to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ProviderError, ProviderRefused, ProviderTimeout
from server.providers.progress import Progress
from server.providers.usage import Usage

EVENTS = ("answer", "finish", "end", "cut", "fail")
OVER = {"ended", "refused", "broken"}
USAGE = Usage(3, 4)


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
    else:
        getattr(progress, event)()


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("", "waiting"),
        ("answer answer", "answering"),
        ("answer finish", "finished"),
        ("finish", "finished"),
        ("answer end", "ended"),
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
        ("answer end report", True),
        ("answer report finish report fail", True),
        ("answer report fail", False),
    ],
)
def test_usage_is_all_when_the_answer_has_finished(events: str, is_all: bool) -> None:
    progress = after(events)
    assert progress.has_all_usage is is_all
    assert progress.usage == (USAGE if "report" in events else None)


def test_usage_that_cannot_be_read_replaces_what_was_reported() -> None:
    progress = after("answer finish report")
    progress.report(None)
    assert (progress.usage, progress.has_all_usage) == (None, False)


@pytest.mark.parametrize("begun", ["", "answer"])
def test_a_client_that_has_nothing_gets_a_fault_of_the_provider(begun: str) -> None:
    """Whatever it is that the provider says in the midst of a reply of status 200."""
    progress = after(begun)
    progress.fail(ProviderRefused(400, "No", "invalid_request_error", None, None))
    assert isinstance(progress.failure, ProviderRefused)
    assert type(progress.refusal) is ProviderError
    timed_out = after(f"{begun} fail")
    assert timed_out.refusal is timed_out.failure
