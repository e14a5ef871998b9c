"""OpenAI's SDK, with responses."""

import json
from typing import Any

from acting import WEATHER, Call, run
from openai import OpenAI
from pydantic import BaseModel

TOOL: Any = {
    "type": "function",
    "name": "weather",
    "description": WEATHER,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}


class Weather(BaseModel):
    city: str
    degrees: int


def client(call: Call) -> OpenAI:
    return OpenAI(base_url=call.url, api_key=call.key)


def text(call: Call, prompt: str) -> Any:
    return client(call).responses.create(model=call.model, input=prompt).output_text


def stream(call: Call, prompt: str) -> Any:
    events = client(call).responses.create(model=call.model, input=prompt, stream=True)
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def tool(call: Call, prompt: str) -> Any:
    responses = client(call).responses
    turns: Any = [{"role": "user", "content": prompt}]
    answer = responses.create(model=call.model, input=turns, tools=[TOOL])
    turns += answer.output
    for item in answer.output:
        if item.type == "function_call":
            degrees = {"Bern": "20"}[json.loads(item.arguments)["city"]]
            output = {"type": "function_call_output", "call_id": item.call_id, "output": degrees}
            turns.append(output)
    return responses.create(model=call.model, input=turns, tools=[TOOL]).output_text


def schema(call: Call, prompt: str) -> Any:
    answer = client(call).responses.parse(model=call.model, input=prompt, text_format=Weather)
    assert answer.output_parsed is not None
    return answer.output_parsed.model_dump()


run(text=text, stream=stream, tool=tool, schema=schema)
