"""OpenAI's Agents SDK."""

import asyncio
from typing import Any

from acting import Call, run
from agents import Agent, Runner, function_tool, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel

# Its traces go to OpenAI itself, with the key.
set_tracing_disabled(True)


class Weather(BaseModel):
    city: str
    degrees: int


@function_tool
def weather(city: str) -> str:
    """Tells the temperature in a city."""
    return {"Bern": "20"}[city]


def agent(call: Call, **settings: Any) -> Agent[Any]:
    set_default_openai_client(AsyncOpenAI(base_url=call.url, api_key=call.key))
    return Agent(name="App", model=call.model, **settings)


def text(call: Call, prompt: str) -> Any:
    return Runner.run_sync(agent(call), prompt).final_output


async def streamed(call: Call, prompt: str) -> str:
    events = Runner.run_streamed(agent(call), prompt).stream_events()
    data = [event.data async for event in events if event.type == "raw_response_event"]
    return "".join(one.delta for one in data if one.type == "response.output_text.delta")


def stream(call: Call, prompt: str) -> Any:
    return asyncio.run(streamed(call, prompt))


def tool(call: Call, prompt: str) -> Any:
    return Runner.run_sync(agent(call, tools=[weather]), prompt).final_output


def schema(call: Call, prompt: str) -> Any:
    return Runner.run_sync(agent(call, output_type=Weather), prompt).final_output.model_dump()


run(text=text, stream=stream, tool=tool, schema=schema)
