"""The URLs of a config's upstreams: what is refused when it is stored, and changes nothing."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from server.tenants.text import TextEndpoint
from tests.api import ADMIN, Api, config
from tests.processes import Server, Valkey

URL = "https://api.example.invalid/v1/chat/completions"


def with_providers(**providers: Any) -> dict[str, Any]:
    return config() | {"providers": providers}


def with_url(url: object, **members: object) -> dict[str, Any]:
    return with_providers(text={"endpoints": {"x": {"url": url, **members}}})


def faults_of(reply: httpx.Response) -> dict[str, str]:
    assert reply.status_code == 422, reply.text
    assert reply.json()["error"] in ("Invalid config", "Invalid tenant")
    return {detail["path"]: detail["message"] for detail in reply.json()["details"]}


def stored(api: Api) -> object:
    return api.get("/admin/config", ADMIN).json()["config"]


@pytest.fixture(scope="module")
def lenient(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A tenant of a server that allows private upstreams."""
    output = tmp_path_factory.mktemp("lenient") / "out"
    with (
        Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server,
        httpx.Client(base_url=server.url, verify=False) as client,
    ):
        yield Api.new_tenant(client)


PRIVATE = [
    "http://api.example.invalid/v1/chat/completions",
    "https://127.0.0.1/v1/messages",
    "http://127.0.0.1:4000/v1/messages",
    "https://10.0.0.1:8443/",
    "https://169.254.169.254/latest/meta-data/iam/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://localhost:8443/",
    "https://１２７.0.0.1/",
]
BAD: list[object] = [
    "ftp://api.example.invalid/",
    "api.example.invalid",
    "https:///v1",
    "https://user:password@api.example.invalid/",
    "https://api.example.invalid:0/",
    "https://api.example.invalid:65536/",
    "https://api.example.invalid/a b",
    "https://api.example.invalid/\r\nX-Other: 1",
    "https://api.example.invalid\\@127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://api.example.invalid/".ljust(2049, "a"),
    "",
    5,
]


@pytest.mark.parametrize("url", [*PRIVATE, *BAD])
def test_a_url_that_is_not_public_or_not_valid_is_422(api: Api, url: object) -> None:
    assert set(faults_of(api.put_config(with_url(url)))) == {"providers.text.endpoints.x.url"}
    assert stored(api) == config()


@pytest.mark.parametrize("url", BAD)
def test_what_is_not_valid_is_422_also_where_private_upstreams_are_allowed(
    lenient: Api, url: object
) -> None:
    assert set(faults_of(lenient.put_config(with_url(url)))) == {"providers.text.endpoints.x.url"}


@pytest.mark.parametrize("url", PRIVATE)
def test_private_upstreams_if_the_operator_allows_them(lenient: Api, url: str) -> None:
    assert lenient.put_config(with_url(url)).status_code == 200
    assert stored(lenient) == with_url(url)


def test_a_name_that_does_not_resolve_is_accepted(api: Api) -> None:
    assert api.put_config(with_url(URL)).status_code == 200
    assert stored(api) == with_url(URL)


def test_the_url_of_each_endpoint_is_checked_and_never_told(api: Api) -> None:
    def put(secret: str) -> dict[str, str]:
        bad = {"url": f"https://10.0.0.1/{secret}", "api_key": secret}
        text = {"endpoints": {"a": bad, "good": {"url": URL}, "b": {"url": f"http://{secret}/"}}}
        realtime = {"endpoints": {"a": bad, "without": {"voice": "Mark"}}}
        reply = api.put_config(with_providers(text=text, realtime=realtime))
        assert secret not in reply.text
        return faults_of(reply)

    assert put("not-to-be-seen") == {
        "providers.text.endpoints.a.url": "must not have a private, local or reserved address",
        "providers.text.endpoints.b.url": "must begin with https://",
        "providers.realtime.endpoints.a.url": "must not have a private, local or reserved address",
    }
    assert stored(api) == config()


def test_a_tenant_is_not_created_with_a_bad_url(client: httpx.Client) -> None:
    tenant_id = f"t-{uuid4().hex[:12]}"
    body = {"tenantId": tenant_id, "config": with_url("https://127.0.0.1/")}
    reply = client.post("/tenants", json=body, headers=ADMIN)
    assert set(faults_of(reply)) == {"providers.text.endpoints.x.url"}
    reply = client.post("/tenants", json=body | {"tenantId": "NO"}, headers=ADMIN)
    assert set(faults_of(reply)) == {"tenantId", "providers.text.endpoints.x.url"}
    assert client.post(f"/{tenant_id}/auth/anonymous").status_code == 400


def test_what_is_stored_with_a_bad_url_still_loads(api: Api, valkey: Valkey) -> None:
    text = httpx.Request("PUT", URL, json=with_url("https://127.0.0.1/")).content
    valkey.client.set(f"tenant:{api.tenant_id}:config", text)
    assert api.post("/auth/anonymous").status_code == 200


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"api_key": "sk-\r\nX-Other: 1"}, "x.api_key"),
        ({"api_key": "sk-1\n"}, "x.api_key"),
        ({"api_key": " sk-1"}, "x.api_key"),
        ({"api_key": "sk-\x7f"}, "x.api_key"),
        ({"api_key": "sk-ключ"}, "x.api_key"),
        ({"api_key": "sk-😀"}, "x.api_key"),
        ({"api_key": ""}, "x.api_key"),
        ({"weight": 0}, "x.weight"),
        ({"weight": 1_001}, "x.weight"),
        ({"max_output": 0}, "x.max_output"),
        ({"max_output": 10_000_001}, "x.max_output"),
        ({"max_output": "4096"}, "x.max_output"),
        ({"limit_field": "max_output_tokens"}, "x.limit_field"),
        ({"image_tokens": -1}, "x.image_tokens"),
        ({"image_tokens": 1_000_001}, "x.image_tokens"),
        ({"unbounded": "true"}, "x.unbounded"),
        ({"protocol": "grpc"}, "x.protocol"),
        ({"models": "gpt-4o"}, "x.models"),
        ({"models": ["gpt-4o", 5, ""]}, "x.models.1 x.models.2"),
    ],
)
def test_faults_of_other_members(api: Api, members: dict[str, object], path: str) -> None:
    wanted = {f"providers.text.endpoints.{part}" for part in path.split()}
    assert set(faults_of(api.put_config(with_url(URL, **members)))) == wanted


def test_good_members_are_kept_with_those_of_the_tenants_own(api: Api) -> None:
    value = with_url(
        URL,
        api_key="sk key",
        weight=1_000,
        max_output=10_000_000,
        limit_field="max_completion_tokens",
        image_tokens=0,
        unbounded=True,
        protocol="anthropic",
        models=["a", "b"],
        default_model="c",
        ours={"a": None},
    )
    value["providers"]["text"] |= {"default": "x", "fallback": ["x"], "note": 1}
    assert api.put_config(value).status_code == 200
    assert stored(api) == value


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ({"endpoints": {"x": {"url": URL}}, "default": "y"}, "providers.text.default"),
        ({"endpoints": {"x": {"url": URL}}, "fallback": ["x", "y"]}, "providers.text.fallback"),
        ({"fallback": ["x"]}, "providers.text.fallback"),
        ({"endpoints": {"x": {"url": URL}}, "fallback": "x"}, "providers.text.fallback"),
    ],
)
def test_faults_of_text_providers(api: Api, text: object, path: str) -> None:
    assert set(faults_of(api.put_config(with_providers(text=text)))) == {path}


@pytest.mark.parametrize(
    ("name", "members", "protocol"),
    [
        ("x", {}, "openai"),
        ("anthropic", {}, "anthropic"),
        ("anthropic", {"protocol": "openai"}, "openai"),
        ("x", {"protocol": "anthropic"}, "anthropic"),
        ("x", {"url": "https://a.example/v1/messages"}, "anthropic"),
        ("x", {"url": "https://a.example/v1/messages?beta=true"}, "anthropic"),
        ("x", {"url": "https://a.example/v1/messages/batches"}, "openai"),
        ("x", {"url": "https://a.example/?v1/messages"}, "openai"),
        ("x", {"url": "https://a.example/v1/messages", "protocol": "openai"}, "openai"),
    ],
)
def test_the_protocol_that_an_endpoint_speaks(
    name: str, members: dict[str, Any], protocol: str
) -> None:
    assert TextEndpoint(**{"url": URL} | members).speaks(name) == protocol


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "max_tokens"),
        ({"url": "https://api.openai.com/v1/chat/completions"}, "max_completion_tokens"),
        ({"url": "https://API.OpenAI.com"}, "max_completion_tokens"),
        ({"url": "https://api.openai.com:443/"}, "max_completion_tokens"),
        ({"url": "https://api.openai.com.a.example/"}, "max_tokens"),
        ({"url": "https://api.openai.com-a.example/"}, "max_tokens"),
        ({"url": "https://a.example/?https://api.openai.com/"}, "max_tokens"),
        ({"url": "https://api.openai.com/", "limit_field": "max_tokens"}, "max_tokens"),
        ({"limit_field": "max_completion_tokens"}, "max_completion_tokens"),
    ],
)
def test_the_field_that_limits_the_output(members: dict[str, Any], field: str) -> None:
    assert TextEndpoint(**{"url": URL} | members).effective_limit_field == field
