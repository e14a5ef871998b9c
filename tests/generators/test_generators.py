"""The API's document is taken without a word by those who read it, and the clients work."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import Api
from tests.endpoints import endpoint, text_config
from tests.node import Node
from tests.processes import Server

DOCUMENT = "openapi.json"


@pytest.fixture(scope="session")
def node(server: Server) -> Node:
    """In whose folder the document is."""
    node = Node(Path(__file__).parent)
    # openapi-python-client runs the ruff that it finds.
    node.env["PATH"] = f"{Path(sys.executable).parent}:{node.env['PATH']}"
    node.env |= {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    document = httpx.get(f"{server.url}/docs/{DOCUMENT}").content
    (node.folder / DOCUMENT).write_bytes(document)
    return node


def program(node: Node, name: str) -> str:
    return str(node.folder / "node_modules" / ".bin" / name)


@pytest.fixture(scope="session")
def python(node: Node) -> list[str]:
    """The command of client.py, with a client that was generated."""
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    output = ["--meta", "none", "--output-path", "vibe_server_client", "--overwrite"]
    node.run([*generate, "--path", DOCUMENT, *output])
    return [sys.executable, "client.py"]


@pytest.fixture(scope="session")
def typescript(node: Node) -> list[str]:
    """The command of client.ts, compiled with types that were generated."""
    node.run([program(node, "openapi-typescript"), DOCUMENT, "--output", "api.ts"])
    options = ["--strict", "--module", "nodenext", "--target", "es2022"]
    node.run([program(node, "tsc"), *options, "client.ts"])
    return ["node", "client.js"]


def test_redocly_finds_nothing(node: Node) -> None:
    printed = node.run([program(node, "redocly"), "lint", DOCUMENT, "--format", "json"])
    assert json.loads(printed)["problems"] == []


def test_refusals_are_not_a_type_each(node: Node, python: list[str]) -> None:
    models = node.folder / "vibe_server_client" / "models"
    assert (models / "error.py").exists()
    assert not list(models.glob("*_response_[0-9]*"))


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_a_client(
    node: Node, client: httpx.Client, language: str, request: pytest.FixtureRequest
) -> None:
    command = request.getfixturevalue(language)
    config = text_config({"main": endpoint("https://provider.test", default_model="mini")})
    tenant = Api.new_tenant(client, config).tenant_id
    found: dict[str, Any] = json.loads(node.run([*command, str(client.base_url), tenant]))
    [fault] = found["invalid"].pop("details")
    assert fault["path"] == "tokens"
    assert found == {
        "models": ["mini"],
        "ofAnthropic": ["mini"],
        "left": 40,
        "unpaid": {"error": "Payment Required", "tokensLeft": 40},
        "invalid": {"error": "Invalid request"},
        "nowhere": {"error": "Invalid tenant ID"},
        "unpaidCall": "insufficient_quota",
    }
