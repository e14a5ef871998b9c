"""The embeddings endpoints of a config: strict when it is put, lenient with what is stored."""

import json
from typing import Any

import httpx
import pytest

from server.tenants.config import parse_config
from tests.api import ADMIN, Api, config
from tests.processes import Valkey

URL = "https://api.example.invalid/v1/embeddings"


def embeddings(endpoint: dict[str, Any], **members: Any) -> dict[str, Any]:
    of_kind = {"endpoints": {"x": endpoint}, **members}
    return config() | {"providers": {"embeddings": of_kind}}


GOOD: list[dict[str, Any]] = [
    {},
    {"url": URL, "api_key": "sk-1", "default_model": "m", "weight": 0.01},
    {
        "models": ["*", {"name": "m", "input_weight": 2.5}],
        "allow": ["task"],
        "force": {"user": None},
    },
    {"headers": {"api-key": "k"}, "query": {"api-version": "1"}, "ours": {"a": None}},
]
BAD: list[tuple[str, object]] = [
    ("url", "ftp://api.example.invalid/"),
    ("url", "https://127.0.0.1/"),
    ("api_key", "sk-1\r\nX-Other: 1"),
    ("default_model", ""),
    ("models", [{"name": "m"}, {"name": "m"}]),
    ("weight", 0),
    ("allow", "task"),
    ("force", {"model": "other"}),
    ("headers", {"Authorization": "Bearer x"}),
    ("query", {"a": 1}),
]


@pytest.mark.parametrize("endpoint", GOOD)
def test_what_is_stored(api: Api, endpoint: dict[str, Any]) -> None:
    value = embeddings(endpoint, default="x")
    assert api.put_config(value).status_code == 200
    assert api.get("/admin/config", ADMIN).json()["config"] == value


@pytest.mark.parametrize(("member", "value"), BAD)
def test_what_cannot_be_used_is_422(api: Api, member: str, value: object) -> None:
    reply = api.put_config(embeddings({member: value}))
    assert reply.status_code == 422, reply.text
    (fault,) = reply.json()["details"]
    assert fault["path"].startswith(f"providers.embeddings.endpoints.x.{member}")


def test_the_default_endpoint_must_exist(api: Api) -> None:
    reply = api.put_config(embeddings({}, default="y"))
    assert [fault["path"] for fault in reply.json()["details"]] == ["providers.embeddings.default"]


def test_stored_members_that_cannot_be_used_count_as_absent(
    client: httpx.Client, valkey: Valkey
) -> None:
    api = Api.new_tenant(client)
    members = {"url": 5, "headers": ["a"], "query": "b", "default_model": "m", "force": []}
    value = embeddings(members)
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
    assert api.login().balance()["tokensLeft"] == 100
    found = parse_config(value).providers.embeddings
    assert found is not None
    endpoint = found.endpoints["x"]
    assert (endpoint.url, endpoint.headers, endpoint.query) == (None, {}, {})
    assert (endpoint.default_model, endpoint.force) == ("m", {})
