"""Claude Code, as a command."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from acting import Call, run

# The command itself is put in its place by a script of the package, and those are not run.
PROGRAM = Path("../node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs").resolve()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
}


def ask(call: Call, *words: str) -> str:
    with tempfile.TemporaryDirectory() as home:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "ANTHROPIC_BASE_URL": call.base_url,
            "ANTHROPIC_AUTH_TOKEN": call.key,
            # It would ask hosts that are neither ours nor the gateway.
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        command = ["node", str(PROGRAM), "--model", call.model, "-p", *words]
        done = subprocess.run(
            command, cwd=home, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout.strip()


def text(call: Call, prompt: str) -> Any:
    return ask(call, prompt)


def stream(call: Call, prompt: str) -> Any:
    words = ("--output-format", "stream-json", "--include-partial-messages", "--verbose")
    found = [json.loads(line) for line in ask(call, *words, prompt).splitlines()]
    events = [one["event"] for one in found if one["type"] == "stream_event"]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta")


def tool(call: Call, prompt: str) -> Any:
    return ask(call, prompt, "--allowedTools", "Bash")


def schema(call: Call, prompt: str) -> Any:
    said = ask(call, prompt, "--output-format", "json", "--json-schema", json.dumps(SCHEMA))
    return json.loads(said)["structured_output"]


run(text=text, stream=stream, tool=tool, schema=schema)
