"""Tally of OpenAI's responses. Their stream says everything several times: deltas, what they make,
and at last the whole response; what counts is the deltas, and of the last event the usage."""

import re
from typing import Any

from server.providers.bounds import MOST_EVENT_VALUES, can_be_parsed
from server.providers.counting import NoAnswer, Tally
from server.providers.reading import an_object, objects, string
from server.providers.skim import find_usage
from server.providers.texts import count_item
from server.providers.usage import Counts, of_completion

ANNOUNCED = ("response.created", "response.queued", "response.in_progress")
"""Events that say that there will be a response."""
LAST = ("response.completed", "response.incomplete")
"""Events with which one ends that has not failed."""
FAILED = "response.failed"
_TEXTS = frozenset(
    {"response.output_text.delta", "response.refusal.delta", "response.reasoning_text.delta"}
)
_DOUBTFUL_TEXTS = frozenset(
    {
        *("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"),
        *("response.mcp_call_arguments.delta", "response.code_interpreter_call_code.delta"),
        *("response.shell_call_command.delta", "response.reasoning_summary_text.delta"),
    }
)
# What an event begins with that has the probabilities of all tokens once more, and so too many
# values to be parsed.
_LARGE = re.compile(rb'\{"type": ?"(response\.[a-z_.]{0,100}(?:done|completed|incomplete))"')
_NO_ANSWERS = ("failed", "cancelled", "queued", "in_progress")


class ResponseTally(Tally):
    """Of one response, which has one choice."""

    def see(self, data: bytes) -> dict[str, Any] | None:
        if len(data) > MOST_EVENT_VALUES and not can_be_parsed(data, MOST_EVENT_VALUES):
            large = _LARGE.match(data)
            if large is not None and type(data) is bytes:
                return self._see_large(data, large[1].decode())
        return super().see(data)

    def _see_large(self, data: bytes, kind: str) -> dict[str, Any]:
        self.progress.answer()
        if kind in LAST:
            self._end({}, find_usage(data, self._read_usage))
        return {"type": kind}

    def _read_usage(self, value: Any) -> Counts | None:
        return of_completion(value)

    def _has_answer(self, reply: dict[str, Any]) -> bool:
        if reply.get("status") in _NO_ANSWERS:
            raise NoAnswer(an_object(reply.get("error")))
        return bool(objects(reply.get("output")))

    def _is_empty(self, reply: dict[str, Any]) -> bool:
        return "output" in reply and not reply["output"] and not reply.get("usage")

    def _count_reply(self, reply: dict[str, Any]) -> None:
        self.reply_id = string(reply.get("id"))
        if (usage := of_completion(reply.get("usage"))) is not None:
            self.progress.report(usage)
        for item in objects(reply.get("output")):
            count_item(item, self.output)

    def _count(self, event: dict[str, Any]) -> bool | None:
        kind = string(event.get("type"))
        if kind in _TEXTS:
            self.output.add(event.get("delta"))
        elif kind in _DOUBTFUL_TEXTS:
            self.output.add_doubtful(event.get("delta"))
        elif kind in LAST:
            response = an_object(event.get("response"))
            self._end(response, of_completion(response.get("usage")))
        elif kind == FAILED:
            self._break(an_object(event.get("response")))
            return None
        elif kind in ANNOUNCED:
            self.reply_id = string(an_object(event.get("response")).get("id"))
            return False  # it may fail at once, and then others can be asked
        elif kind == "error":
            raise NoAnswer(event)
        elif not kind.startswith("response."):
            self._judge(event)
            return None if self._has_secrets(event) else False
        return True

    def _end(self, response: dict[str, Any], usage: Counts | None) -> None:
        self.progress.answer()
        self.progress.finish()
        if usage is not None:
            self.progress.report(usage)
        if not self.output.size:  # some have no deltas
            for item in objects(response.get("output")):
                count_item(item, self.output)
        self.end()

    def _break(self, response: dict[str, Any]) -> None:
        """It has failed, of which it says itself what was used until then."""
        usage = of_completion(response.get("usage"))
        if usage is not None and self.progress.state == "answering":
            self.progress.finish()
            self.progress.report(usage)
        self.progress.fail(self._refusal(response.get("error") or {}))
