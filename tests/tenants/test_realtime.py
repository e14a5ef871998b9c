"""The realtime endpoints of a config: strict when it is put, lenient with what is stored."""

import json
from typing import Any

import httpx
import pytest

from server.tenants.config import parse_config
from server.tenants.endpoints import RealtimeEndpoints
from server.tenants.realtime import RealtimeEndpoint
from tests.api import ADMIN, Api, config
from tests.processes import Server, Valkey

URL = "wss://api.example.invalid/v1/realtime"


def realtime(endpoints: dict[str, dict[str, Any]], **members: Any) -> dict[str, Any]:
    return config() | {"providers": {"realtime": {"endpoints": endpoints, **members}}}


def parsed(value: dict[str, Any]) -> RealtimeEndpoints:
    found = parse_config(value).providers.realtime
    assert found is not None
    return found


def faults_of(reply: httpx.Response) -> set[str]:
    assert (reply.status_code, reply.json()["error"]) == (422, "Invalid config")
    return {detail["path"] for detail in reply.json()["details"]}


GOOD: list[dict[str, Any]] = [
    {},
    {"url": URL, "api_key": "sk-1"},
    {"url": "https://api.example.invalid/api/calls", "protocol": "ultravox"},
    {"protocol": "openai", "model": "m", "models": ["*", {"name": "m", "weight": 2.5}]},
    {"voice": "Mark", "sampleRate": 8_000, "encoding": "pcm_s16le", "tokens_per_second": 1},
    {"max_seconds": 30, "max_output": 1, "context": 1, "image_tokens": 0},
    {"max_seconds": 86_400, "reasoning": True, "unbounded": True},
    {"transcription_tokens_per_second": 0, "ours": {"a": None}},
]
BAD: list[tuple[str, object]] = [
    ("protocol", "anthropic"),
    ("protocol", "grpc"),
    ("url", "ftp://api.example.invalid/"),
    ("url", "ws://api.example.invalid/"),
    ("url", "wss://127.0.0.1/"),
    ("url", "wss://user@api.example.invalid/"),
    ("api_key", "sk-1\r\nX-Other: 1"),
    ("model", ""),
    ("models", [{"name": "m"}, {"name": "m"}]),
    ("voice", 5),
    ("weight", 0),
    ("max_output", 0),
    ("context", 0),
    ("image_tokens", -1),
    ("reasoning", "no"),
    ("unbounded", 1),
    ("transcription_tokens_per_second", -1),
    ("max_seconds", 29),
    ("max_seconds", 86_401),
    ("tokens_per_second", 0),
    ("tokens_per_second", "10"),
    ("sampleRate", 7_999),
    ("sampleRate", 48_001),
    ("encoding", "mulaw"),
]


@pytest.mark.parametrize("members", GOOD)
def test_good_members_are_read_back_as_they_were_put(api: Api, members: dict[str, Any]) -> None:
    value = realtime({"x": members}, default="x")
    assert api.put_config(value).status_code == 200
    assert api.get("/admin/config", ADMIN).json()["config"] == value


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad_members_are_422_and_change_nothing(api: Api, name: str, value: object) -> None:
    reply = api.put_config(realtime({"x": {name: value}}))
    (path,) = faults_of(reply)
    assert path.startswith(f"providers.realtime.endpoints.x.{name}")
    assert api.get("/admin/config", ADMIN).json()["config"] == config()


def test_the_default_must_exist(api: Api) -> None:
    assert faults_of(api.put_config(realtime({"x": {}}, default="y"))) == {
        "providers.realtime.default"
    }


def test_stored_members_that_cannot_be_used_count_as_absent(
    client: httpx.Client, valkey: Valkey, server: Server
) -> None:
    api = Api.new_tenant(client)
    members = {"protocol": "anthropic", "voice": {"id": 1}, "sampleRate": "48000", "model": "m"}
    value = realtime({"x": members})
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
    assert api.login().balance()["tokensLeft"] == 100
    assert api.get("/admin/config", ADMIN).json() == {"config": value}
    line = f"[WARN] In config of tenant {api.tenant_id} is not valid, and ignored: "
    told = [text for text in server.output.read_text().splitlines() if line in text]
    assert told
    assert all("protocol, voice, sampleRate" in text for text in told)
    found = parsed(value).endpoints["x"]
    assert (found.model, found.voice, found.sample_rate) == ("m", None, 48_000)


@pytest.mark.parametrize(
    ("name", "members", "protocol"),
    [
        ("x", {}, "openai"),
        ("ultravox", {}, "ultravox"),
        ("ultravox", {"protocol": "openai"}, "openai"),
        ("x", {"protocol": "ultravox"}, "ultravox"),
        ("x", {"url": "https://api.ultravox.ai/api/calls"}, "ultravox"),
        ("x", {"url": "https://a.example/?api.ultravox.ai"}, "openai"),
    ],
)
def test_the_protocol_that_an_endpoint_speaks(
    name: str, members: dict[str, Any], protocol: str
) -> None:
    assert RealtimeEndpoint(**members).speaks(name) == protocol


def test_what_an_endpoint_has_without_being_told() -> None:
    openai, ultravox = RealtimeEndpoint(), RealtimeEndpoint()
    assert openai.http_url("x") == "https://api.openai.com/v1/realtime"
    assert ultravox.http_url("ultravox") == "https://api.ultravox.ai/api/calls"
    assert openai.most_seconds("x") == 3_600
    assert ultravox.most_seconds("ultravox") == 600
    assert RealtimeEndpoint(max_seconds=90).most_seconds("x") == 90


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (URL, "https://api.example.invalid/v1/realtime"),
        ("ws://127.0.0.1:1/a?b=ws:", "http://127.0.0.1:1/a?b=ws:"),
        ("https://a.example/", "https://a.example/"),
    ],
)
def test_a_websocket_begins_as_http(url: str, asked: str) -> None:
    assert RealtimeEndpoint(url=url).http_url("x") == asked


def test_the_specified_endpoints(client: httpx.Client) -> None:
    value = Api(client, "abc").get("/admin/config", ADMIN).json()["config"]
    found = parsed(value)
    assert found.protocols == {"openai_realtime": "openai", "ultravox": "ultravox"}
    assert found.first("openai") == "openai_realtime"
    assert found.first("ultravox") == "ultravox"
    model = "gpt-4o-realtime-preview-2024-12-17"
    assert found.find(model) == ("openai_realtime", model)
    assert found.find("gpt-realtime") is None
    ultravox = found.endpoints["ultravox"]
    assert (ultravox.voice, ultravox.sample_rate) == ("Mark", 48_000)


def test_which_endpoint_has_a_model() -> None:
    found = parsed(
        realtime(
            {
                "a": {"model": "one", "models": ["two"]},
                "b": {"model": "two", "models": ["*"]},
                "c": {"protocol": "ultravox"},
            },
            default="b",
        )
    )
    wanted = {
        "one": ("a", "one"),
        "two": ("b", "two"),
        "a/two": ("a", "two"),
        "a/": ("a", "one"),
        "b/any": ("b", "any"),
        "any": None,
        "c/": ("c", ""),
        "c/any": None,
        "d/": None,
    }
    assert {name: found.find(name) for name in wanted} == wanted
    assert (found.first("openai"), found.first("ultravox")) == ("b", "c")
