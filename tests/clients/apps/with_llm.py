"""The command `llm`, with OpenAI's models."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from acting import Call, run

TOOL = """
def weather(city: str) -> str:
    "Tells the temperature in a city."
    return {"Bern": "20"}[city]
"""


def ask(call: Call, *words: str) -> str:
    command = [str(Path(sys.executable).with_name("llm")), "-m", call.model, *words]
    env = {**os.environ, "OPENAI_BASE_URL": call.url, "OPENAI_API_KEY": call.key}
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def text(call: Call, prompt: str) -> Any:
    return ask(call, "--no-stream", prompt)


def stream(call: Call, prompt: str) -> Any:
    return ask(call, prompt)


def tool(call: Call, prompt: str) -> Any:
    return ask(call, "--functions", TOOL, prompt)


def schema(call: Call, prompt: str) -> Any:
    return json.loads(ask(call, "--schema", "city, degrees int", prompt))


run(text=text, stream=stream, tool=tool, schema=schema)
