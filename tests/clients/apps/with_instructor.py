"""instructor."""

import os
from typing import Any

import instructor
from acting import Call, run
from pydantic import BaseModel


class Weather(BaseModel):
    city: str
    degrees: int


def client(call: Call) -> Any:
    os.environ["OPENAI_BASE_URL"] = call.url
    os.environ["OPENAI_API_KEY"] = call.key
    return instructor.from_provider(f"openai/{call.model}")


def turns(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def schema(call: Call, prompt: str) -> Any:
    return client(call).create(response_model=Weather, messages=turns(prompt)).model_dump()


def stream(call: Call, prompt: str) -> Any:
    parts = client(call).create_partial(response_model=Weather, messages=turns(prompt))
    return [*parts][-1].model_dump()


run(schema=schema, stream=stream)
