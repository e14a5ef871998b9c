"""Each client: what runs it, and how it asks the model for what it wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.doubles import Answer, Tool

Runs = Literal["ours", "frameworks", "node"]
Kind = Literal["responses", "chat", "messages"]

KINDS: tuple[Kind, ...] = ("responses", "chat", "messages")
MODELS: Mapping[Kind, str] = {
    "responses": "gpt-5.1",
    "chat": "gpt-4.1",
    "messages": "claude-opus-4-5",
}
TEXT = "One two three four five."
WEATHER = {"city": "Bern", "degrees": 20}
ACTS = ("text", "stream", "tool", "schema")
ANSWERS: Mapping[str, Any] = {"text": TEXT, "stream": TEXT, "tool": "Sunny.", "schema": WEATHER}


@dataclass(frozen=True)
class Client:
    """`runs`: with our own packages, in the environment of frameworks.txt, or by Node."""

    name: str
    runs: Runs
    acts: tuple[str, ...] = ACTS
    tool: Tool = Tool("weather", {"city": "Bern"})  # noqa: RUF009 - it is frozen
    schema_tool: str = ""
    """The function that a structured output is asked for by; '' where it is a format."""
    models: Mapping[Kind, str] = field(default_factory=lambda: MODELS)
    """Some clients refuse a model that they do not know."""
    attempts: int = 1
    """How often it asks at most that is told 401 or 402."""
    said: Mapping[int, str] = field(default_factory=dict)
    """What its user sees of a status, where that is not our message."""

    def answers(self, act: str) -> list[Answer]:
        """What the double answers to each call of an act."""
        if act == "tool":
            thought = Answer(pieces=(), tools=(self.tool,), reasoning_tokens=5, thinking="Well.")
            return [thought, Answer(pieces=["Sunny."])]
        if act == "text" or (act == "stream" and "text" in self.acts):
            return [Answer()]
        if self.schema_tool:
            return [Answer(pieces=(), tools=(Tool(self.schema_tool, WEATHER),))]
        return [Answer(pieces=['{"city": "Bern",', ' "degrees": 20}'])]

    def expected(self, act: str) -> Any:
        is_text = act != "stream" or "text" in self.acts
        return ANSWERS[act if is_text else "schema"]


_GPT = {**MODELS, "messages": "gpt-4.1-mini"}
CLIENTS = (
    Client("with_openai.py", "ours"),
    Client("with_anthropic.py", "ours"),
    Client("with_langchain.py", "frameworks"),
    Client("with_llama_index.py", "frameworks", models=_GPT),
    Client("with_pydantic_ai.py", "frameworks", schema_tool="final_result"),
    Client("with_instructor.py", "frameworks", acts=("schema", "stream"), schema_tool="Weather"),
    Client("with_agents.py", "frameworks"),
    Client("with_llm.py", "frameworks", models=_GPT),
    Client("with_openai.mjs", "node"),
    Client("with_anthropic.mjs", "node"),
    Client("with_ai_openai.mjs", "node"),
    Client("with_ai_compatible.mjs", "node"),
    Client("with_ai_anthropic.mjs", "node"),
    Client("with_agents.mjs", "node"),
    Client("with_langchain.mjs", "node"),
    # It asks six times within ten seconds, whatever a server says.
    Client(
        "with_codex.py",
        "ours",
        tool=Tool("exec_command", {"cmd": "echo 20"}),
        attempts=6,
        said={429: "You’ve hit your usage limit"},
    ),
    Client(
        "with_claude_code.py",
        "ours",
        tool=Tool("Bash", {"command": "echo 20", "description": "Say it"}),
        schema_tool="StructuredOutput",
    ),
)
