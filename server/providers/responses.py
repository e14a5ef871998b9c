"""Responses, of OpenAI's protocol: what is sent upstream, and how errors reach the client.

Source: the OpenAI API reference, responses; its SDK's types.
"""

from time import time
from typing import Any, ClassVar
from uuid import uuid4

import orjson

from server.errors import Refusal
from server.providers import ask, sse
from server.providers.ask import Ask
from server.providers.kept import refuse_kept
from server.providers.models import answers_at_once
from server.providers.reading import an_object
from server.providers.tally import Tally
from server.providers.tally_responses import FAILED, ResponseTally
from server.providers.wire import Begun, Form, OfOpenAI, Operation

# Of the codes that a failed response can have, those that are not about the request.
_BUSY, _FAILED = "rate_limit_exceeded", "server_error"


class Responses(OfOpenAI):
    operation: ClassVar[Operation] = "responses"
    turns: ClassVar[str] = "input"
    least_limit: ClassVar[int] = 16
    tally: ClassVar[type[Tally]] = ResponseTally

    def ask(self, body: dict[str, Any]) -> Ask:
        refuse_kept(body)
        return ask.of_responses(body)

    def request(self, body: dict[str, Any], model: str, limit: int, form: Form) -> bytes:
        sent = {**body, "model": model, "max_output_tokens": limit}
        if form.stream:
            sent["stream"] = True
        return orjson.dumps(sent)

    def may_reason(self, body: dict[str, Any], model: str, unasked: bool | None) -> bool:
        effort = an_object(body.get("reasoning")).get("effort")
        if unasked or effort not in (None, "none"):
            return True
        if unasked is False or effort == "none":
            return False
        return not answers_at_once(model)

    def error_frame(self, refusal: Refusal, begun: Begun) -> bytes:
        """A failed response: their SDKs take what ends without an event of that kind for cut."""
        code = _BUSY if refusal.status == 429 else _FAILED
        # The types have no other codes; what we call it stands beside that.
        error = {"code": code, "message": refusal.told(), "type": refusal.code}
        response = {**(begun.response or _announced()), "status": "failed", "error": error}
        event = {"type": FAILED, "response": response, "sequence_number": begun.next_number}
        return sse.frame(orjson.dumps(event), FAILED)


def _announced() -> dict[str, Any]:
    """A response of which the provider has said nothing."""
    return {
        "id": f"resp_{uuid4().hex}",
        "object": "response",
        "created_at": int(time()),
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


RESPONSES = Responses()
