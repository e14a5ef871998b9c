"""Anthropic's SDK."""

from typing import Any

from acting import WEATHER, Call, run
from anthropic import Anthropic
from pydantic import BaseModel

TOOL: Any = {
    "name": "weather",
    "description": WEATHER,
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


class Weather(BaseModel):
    city: str
    degrees: int


def asked(call: Call, content: Any) -> dict[str, Any]:
    turns = content if isinstance(content, list) else [{"role": "user", "content": content}]
    return {"model": call.model, "max_tokens": 200, "messages": turns}


def client(call: Call) -> Anthropic:
    return Anthropic(base_url=call.base_url, api_key=call.key)


def text(call: Call, prompt: str) -> Any:
    return client(call).messages.create(**asked(call, prompt)).content[0].text


def stream(call: Call, prompt: str) -> Any:
    with client(call).messages.stream(**asked(call, prompt)) as events:
        return "".join(events.text_stream)


def tool(call: Call, prompt: str) -> Any:
    messages = client(call).messages
    turns: list[Any] = [{"role": "user", "content": prompt}]
    answer = messages.create(**asked(call, turns), tools=[TOOL])
    results = [
        {
            "type": "tool_result",
            "tool_use_id": block.id,
            "content": {"Bern": "20"}[block.input["city"]],
        }
        for block in answer.content
        if block.type == "tool_use"
    ]
    turns += [
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": results},
    ]
    return messages.create(**asked(call, turns), tools=[TOOL]).content[0].text


def schema(call: Call, prompt: str) -> Any:
    answer = client(call).messages.parse(**asked(call, prompt), output_format=Weather)
    return answer.parsed_output.model_dump()


run(text=text, stream=stream, tool=tool, schema=schema)
