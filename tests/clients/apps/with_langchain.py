"""LangChain's agent, with its model for OpenAI."""

from typing import Any

from acting import WEATHER, Call, run
from langchain.agents import create_agent
from langchain_core.tools import tool as as_tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Weather(BaseModel):
    city: str
    degrees: int


@as_tool(description=WEATHER)
def weather(city: str) -> str:
    return {"Bern": "20"}[city]


def client(call: Call) -> Any:
    return ChatOpenAI(base_url=call.url, api_key=call.key, model=call.model)


def text(call: Call, prompt: str) -> Any:
    return client(call).invoke(prompt).text


def stream(call: Call, prompt: str) -> Any:
    return "".join(chunk.text for chunk in client(call).stream(prompt))


def tool(call: Call, prompt: str) -> Any:
    agent = create_agent(client(call), [weather])
    return agent.invoke({"messages": [{"role": "user", "content": prompt}]})["messages"][-1].text


def schema(call: Call, prompt: str) -> Any:
    return client(call).with_structured_output(Weather).invoke(prompt).model_dump()


if __name__ == "__main__":
    run(text=text, stream=stream, tool=tool, schema=schema)
