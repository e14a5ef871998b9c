"""LlamaIndex."""

import asyncio
from typing import Any

from acting import Call, run
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """Tells the temperature in a city."""
    return {"Bern": "20"}[city]


def client(call: Call) -> Any:
    # By itself it asks again after a 429, for two minutes, whatever it is told.
    return OpenAI(api_base=call.url, api_key=call.key, model=call.model, max_retries=0)


def text(call: Call, prompt: str) -> Any:
    return client(call).complete(prompt).text


def stream(call: Call, prompt: str) -> Any:
    return "".join(chunk.delta for chunk in client(call).stream_complete(prompt))


async def with_tool(call: Call, prompt: str) -> str:
    return str(await FunctionAgent(tools=[weather], llm=client(call)).run(prompt))


def tool(call: Call, prompt: str) -> Any:
    return asyncio.run(with_tool(call, prompt))


def schema(call: Call, prompt: str) -> Any:
    return client(call).as_structured_llm(Weather).complete(prompt).raw.model_dump()


run(text=text, stream=stream, tool=tool, schema=schema)
