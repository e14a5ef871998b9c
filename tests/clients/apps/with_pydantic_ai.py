"""pydantic-ai."""

import os
from typing import Any

from acting import Call, run
from pydantic import BaseModel
from pydantic_ai import Agent


class Weather(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """Tells the temperature in a city."""
    return {"Bern": "20"}[city]


def agent(call: Call, **settings: Any) -> Agent[Any, Any]:
    os.environ["OPENAI_BASE_URL"] = call.url
    os.environ["OPENAI_API_KEY"] = call.key
    return Agent(f"openai:{call.model}", **settings)


def text(call: Call, prompt: str) -> Any:
    return agent(call).run_sync(prompt).output


def stream(call: Call, prompt: str) -> Any:
    return "".join(agent(call).run_stream_sync(prompt).stream_text(delta=True))


def tool(call: Call, prompt: str) -> Any:
    return agent(call, tools=[weather]).run_sync(prompt).output


def schema(call: Call, prompt: str) -> Any:
    return agent(call, output_type=Weather).run_sync(prompt).output.model_dump()


run(text=text, stream=stream, tool=tool, schema=schema)
