"""Codex, as a command."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from acting import Call, run

CONFIG = """
model = "{model}"
model_provider = "app"
[model_providers.app]
name = "App"
base_url = "{url}"
env_key = "APP_KEY"
wire_api = "responses"
"""
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}


def ask(call: Call, *words: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "config.toml").write_text(CONFIG.format(model=call.model, url=call.url))
        (folder / "schema.json").write_text(json.dumps(SCHEMA))
        env = {**os.environ, "CODEX_HOME": home, "APP_KEY": call.key}
        command = ["codex", "exec", "--skip-git-repo-check", *words]
        done = subprocess.run(
            command, cwd=home, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout.strip()


def text(call: Call, prompt: str) -> Any:
    return ask(call, prompt)


def stream(call: Call, prompt: str) -> Any:
    events = [json.loads(line) for line in ask(call, "--json", prompt).splitlines()]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return "".join(item["text"] for item in items if item["type"] == "agent_message")


def tool(call: Call, prompt: str) -> Any:
    return ask(call, prompt)


def schema(call: Call, prompt: str) -> Any:
    return json.loads(ask(call, "--output-schema", "schema.json", prompt))


run(text=text, stream=stream, tool=tool, schema=schema)
