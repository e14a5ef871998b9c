"""Progress: how far a provider's answer has come, and what it says that it has used.

Everything that decides this is here. Whoever reads an answer tells what happens by the methods
named after the events of the table; nobody changes anything else.
"""

from typing import Literal

from server.errors import Refusal
from server.providers.errors import ProviderError
from server.providers.usage import Counts

# The states; in the last three it is over.
#   waiting    nothing of an answer has come
#   answering
#   finished   each choice has its finish reason: only usage may follow
#   ended      all of it is here
#   refused    it failed before an answer began: as good as an error status
#   broken     it failed later; what has come was produced all the same
State = Literal["waiting", "answering", "finished", "ended", "refused", "broken"]

# The events.
#   answer  something of an answer comes; a ping is nothing of it
#   finish  the last choice that lacked one gets its finish reason
#   end     the stream says that it is over, which proves nothing before the finish
#   cut     nothing more comes, though the stream has not said that it is over; clients do not
#           notice by themselves that one broke off
#   fail    an error is reported, or what comes cannot be used
Event = Literal["answer", "finish", "end", "cut", "fail"]

# What each event leads to. What is not in the table changes nothing.
_NEXT: dict[State, dict[Event, State]] = {
    "waiting": {"answer": "answering", "end": "refused", "cut": "refused", "fail": "refused"},
    "answering": {"finish": "finished", "end": "broken", "cut": "broken", "fail": "broken"},
    "finished": {"end": "ended", "cut": "ended", "fail": "broken"},
    "ended": {},
    "refused": {},
    "broken": {},
}

# Usage can be reported in any state, and adds up to what is believed of it (usage.py). Until the
# answer has finished it is what had been used up to some moment; a final report after that is all.


class Progress:
    """Of one answer."""

    def __init__(self) -> None:
        self.state: State = "waiting"
        self.goes_on = True
        """More may come that counts."""
        self.failure: Refusal | None = None
        """Why it is refused or broken."""
        self.usage: Counts | None = None
        self.has_all_usage = False
        """`usage` is the provider's last word."""

    def answer(self) -> None:
        self._see("answer")

    def finish(self) -> None:
        self._see("finish")

    def end(self) -> None:
        self._see("end")

    def cut(self) -> None:
        self._see("cut")

    def fail(self, failure: Refusal) -> None:
        self._see("fail", failure)

    def report(self, usage: Counts, is_final: bool = True) -> None:
        """`is_final`: of a kind that comes with the finish or after it, if the answer has
        finished."""
        self.usage = usage if self.usage is None else self.usage.grown(usage)
        if is_final and self.state in ("finished", "ended"):
            self.has_all_usage = True

    def trust_usage(self) -> None:
        """What was reported before an answer finished is all, now that it has ended."""
        if self.usage is not None and self.state == "ended":
            self.has_all_usage = True

    @property
    def refusal(self) -> ProviderError | None:
        """The failure for a client that has nothing yet: as good as an error status, in the
        provider's words."""
        failure = self.failure
        if failure is None or isinstance(failure, ProviderError):
            return failure
        found = ProviderError("error in a reply")
        found.message, found.code = failure.message, failure.code
        found.kind = getattr(failure, "kind", "")
        return found

    def _see(self, event: Event, failure: Refusal | None = None) -> None:
        state = _NEXT[self.state].get(event)
        if state is None:
            return
        self.state = state
        if not _NEXT[state]:
            self.goes_on = False
            if state != "ended":
                self.failure = failure or ProviderError("incomplete")
