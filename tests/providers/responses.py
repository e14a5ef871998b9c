"""Responses as clients of OpenAI's get them where the endpoint speaks something else."""

from collections.abc import Iterable
from typing import Any

import httpx2
import openai
import orjson
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from server.providers.translation import TRANSLATIONS, Source
from server.providers.wire import Operation

Event = dict[str, Any]

ENDINGS = ("response.completed", "response.incomplete", "response.failed")
_EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def whole(endpoint: Operation, reply: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """The response of a whole reply to the request `body`, as their SDK's types want it."""
    translation = TRANSLATIONS["responses", endpoint]
    source = Source("main", translation.asked(body))
    raw = translation.reply(orjson.dumps(reply), reply, source)
    Response.model_validate_json(raw, strict=True)
    found: dict[str, Any] = orjson.loads(raw)
    return found


def framed(endpoint: Operation, given: Iterable[Event], body: dict[str, Any]) -> bytes:
    """The stream that is made of the provider's events."""
    translation = TRANSLATIONS["responses", endpoint]
    stream = translation.stream(True, Source("main", translation.asked(body)))
    pieces = [stream.event(orjson.dumps(one), one) for one in given]
    return b"".join([*pieces, stream.end({})])


def streamed(endpoint: Operation, given: Iterable[Event], body: dict[str, Any]) -> list[Event]:
    """The events, each as their SDK's types want it, numbered, and with one end."""
    found = []
    for text in framed(endpoint, given, body).decode().strip().split("\n\n"):
        name, data = text.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        _EVENTS.validate_json(data.removeprefix("data: "), strict=True)
        found.append(event)
    assert [event["sequence_number"] for event in found] == [*range(len(found))]
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert [kind in ENDINGS for kind in kinds] == [*[False] * (len(kinds) - 1), True]
    return found


def accumulated(endpoint: Operation, given: Iterable[Event], body: dict[str, Any]) -> Response:
    """What their SDK makes of the stream."""
    headers = {"content-type": "text/event-stream"}
    sent = framed(endpoint, given, body)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=headers, content=sent))
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="key", http_client=http) as client,
        client.responses.stream(model="some-model", input="Hi") as stream,
    ):
        return stream.get_final_response()


def told(response: dict[str, Any]) -> dict[str, Any]:
    """Without what is another each time."""
    output = [{k: v for k, v in item.items() if k != "id"} for item in response["output"]]
    changing = ("id", "created_at", "output")
    return {**{k: v for k, v in response.items() if k not in changing}, "output": output}
