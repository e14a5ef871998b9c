"""Members of a request that the tenant pays for: refused by name, allowed, or forced."""

from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import (
    PATHS,
    PROTOCOLS,
    ask,
    body_of,
    ledger,
    turns,
    used,
    user_at,
    user_of,
)
from tests.processes import Valkey

PART = {"type": "text", "text": "Hi"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
TOOL = {"type": "function", "function": {"name": "f"}}
# What is refused of each protocol's requests, by the member that is named; and what allows it.
PRICED: dict[str, list[tuple[dict[str, Any], str]]] = {
    "openai": [
        *(({"service_tier": tier}, "service_tier") for tier in ("priority", "flex", "scale")),
        *(({"service_tier": tier}, "service_tier") for tier in (["priority"], "PRIORITY", " auto")),
        ({"store": True}, "store"),
        ({"store": "true"}, "store"),
        ({"store": 1}, "store"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["audio"], "audio": {"voice": "alloy", "format": "mp3"}}, "modalities"),
        ({"audio": {"voice": "alloy", "format": "mp3"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"search_parameters": {"mode": "on"}}, "search_parameters"),
        ({"enable_search": True}, "enable_search"),
        ({"plugins": [{"id": "web"}]}, "plugins"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
        ({"models": ["dear"]}, "models"),
        ({"fallbacks": ["dear"]}, "fallbacks"),
        ({"engine": "dear"}, "engine"),
        *(({name: 9_999}, name) for name in ("max_output_tokens", "n_predict", "max_new_tokens")),
        ({"anthropic_beta": ["context-1m-2025-08-07"]}, "anthropic_beta"),
        ({"provider_options": {"models": ["dear"]}}, "provider_options"),
        *(({name: ["dear"]}, name) for name in ("context_window_fallbacks", "fallback_models")),
        *(({name: ["dear"]}, name) for name in ("model_list", "default_fallbacks", "lora_request")),
        ({"modelId": "dear"}, "modelId"),
        ({"user_config": {"model_list": []}}, "user_config"),
        ({"litellm_params": {"model": "dear"}}, "litellm_params"),
        ({"enable_web_search": True}, "enable_web_search"),
        ({"search_type": "pro"}, "search_type"),
        ({"extra_body": {"service_tier": "priority"}}, "extra_body"),
        ({"api_base": "https://elsewhere.example"}, "api_base"),
        ({"messages": turns([{**PART, "cache_control": HOUR}])}, "cache_control"),
        ({"tools": [{**TOOL, "cache_control": HOUR}]}, "cache_control"),
        ({"messages": turns([{"type": "file", "file": {"file_id": "f"}}])}, "messages"),
        ({"messages": turns([{"type": "input_image", "file_id": "f"}])}, "messages"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": ["web_search"]}]}, "tools"),
        ({"tools": [{**TOOL, "Type": "web_search"}]}, "tools"),
        ({"tools": [{"googleSearch": {}}]}, "tools"),
        ({"messages": turns([{"type": "video_url", "video_url": {"url": "a"}}])}, "messages"),
        ({"messages": turns([{"input_audio": {"data": "AAAA", "format": "wav"}}])}, "messages"),
    ],
    "anthropic": [
        *(({"service_tier": tier}, "service_tier") for tier in ("priority", ["auto"])),
        ({"speed": "fast"}, "speed"),
        ({"betas": ["context-1m-2025-08-07"]}, "betas"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"type": "url", "url": "https://a.example"}]}, "mcp_servers"),
        ({"cache_control": HOUR}, "cache_control"),
        ({"system": [{**PART, "cache_control": HOUR}]}, "cache_control"),
        ({"system": [{**PART, "cache_control": {**HOUR, "ttl": "2h"}}]}, "cache_control"),
        ({"system": [{**PART, "Cache_Control": {"TTL": "1h"}}]}, "cache_control"),
        ({"messages": turns([{**PART, "cache_control": HOUR}])}, "cache_control"),
        ({"tools": [{"name": "f", "input_schema": {}, "cache_control": HOUR}]}, "cache_control"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools"),
        ({"workspace_id": "w"}, "workspace_id"),
        *(({name: 9_999}, name) for name in ("max_completion_tokens", "n", "max_output_tokens")),
    ],
}


def post(user: User, protocol: str, members: dict[str, Any]) -> httpx.Response:
    """As `ask`, with members of any name and value."""
    return user.api.post(PATHS[protocol], {**body_of(protocol, "Hi"), **members}, user.headers)


CASES = [(name, *case) for name, cases in PRICED.items() for case in cases]


@pytest.mark.parametrize(("protocol", "members", "param"), CASES)
def test_what_costs_more_is_refused_by_name_unless_it_is_allowed(
    client: httpx.Client, double: Double, protocol: str, members: dict[str, Any], param: str
) -> None:
    user = user_at(client, double.url, protocol)
    for streamed in (False, True):
        reply = ask(user, "Hi", protocol, **{"stream": streamed, **members})
        assert reply.status_code == 400, reply.text
        assert param in reply.json()["error"]["message"]
        if protocol == "openai":
            assert reply.json()["error"]["param"].startswith(param)
    assert double.calls() == []
    assert [entry["op"] for entry in ledger(user)] == ["grant"]
    allowing = user_at(client, double.url, protocol, allow=[param, "audio"])
    reply = ask(allowing, "Hi", protocol, **members)
    assert reply.status_code == 200, reply.text
    sent = double.calls()[0].body
    assert {name: sent[name] for name in members} == members


# Names that are not ours by their letters alone.
SPELLED: dict[str, dict[str, Any]] = {
    "openai": {"Model": "dear", "MODEL": "dear", "Store": True, "STORE": True, "N": 5},
    "anthropic": {"Model": "dear", "Speed": "fast", "MAX_TOKENS": 9_999},
}
SPELLED["openai"] |= {"Service_Tier": "priority", "service-tier": "priority", "\u017ftore": True}
SPELLED["openai"] |= {"serviceTier": "priority", "maxTokens": 9_999, "Max_Completion_Tokens": 9_999}
SPELLED["openai"] |= {"cacheControl": HOUR, "Cache_Control": HOUR}
SPELLED["openai"] |= {"ser\u0076ice_tier ": "priority", "Web_Search_Options": {}, "User": "u"}


@pytest.mark.parametrize(
    ("protocol", "name"), [(protocol, name) for protocol in PROTOCOLS for name in SPELLED[protocol]]
)
def test_other_spellings_of_our_members_are_refused(
    client: httpx.Client, double: Double, protocol: str, name: str
) -> None:
    user = user_at(client, double.url, protocol)
    reply = post(user, protocol, {name: SPELLED[protocol][name]})
    assert reply.status_code == 400, reply.text
    assert double.calls() == []


def test_of_members_that_are_there_twice_the_last_counts_and_is_sent_alone(
    client: httpx.Client, double: Double
) -> None:
    user = user_at(client, double.url, models=["cheap"])
    path = f"/{user.api.tenant_id}/v1/chat/completions"
    said = '"messages":[{"role":"user","content":"Hi"}]'
    for members, status in (
        ('"model":"dear","model":"cheap"', 200),
        ('"model":"cheap","model":"dear"', 404),
        ('"store":true,"store":false', 200),
        ('"store":false,"store":true', 400),
        ('"store":false,"st\\u006fre":true', 400),
    ):
        content = f"{{{members},{said}}}".encode()
        assert client.post(path, content=content, headers=user.headers).status_code == status
    assert [call.body["model"] for call in double.calls()] == ["cheap", "openai-model"]
    assert [call.body.get("store") for call in double.calls()] == [None, False]


HARMLESS: dict[str, dict[str, Any]] = {
    "openai": {
        "service_tier": "auto",
        "store": False,
        "modalities": ["text"],
        "audio": None,
        "models": None,
        "prompt_cache_key": "k",
        "metadata": {"a": "b"},
        "x_own": {"ttl": "1h"},
        "cache_control": {"type": "ephemeral"},
        "enable_web_search": False,
        "chat_template_kwargs": {"enable_thinking": False},
    },
    "anthropic": {
        "service_tier": "standard_only",
        "speed": "standard",
        "cache_control": {"type": "ephemeral", "ttl": "5m"},
        "system": [{**PART, "cache_control": {"type": "ephemeral"}}],
        "x_own": 5,
    },
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_changes_nothing_passes(client: httpx.Client, double: Double, protocol: str) -> None:
    user = user_at(client, double.url, protocol)
    members = HARMLESS[protocol]
    reply = post(user, protocol, members)
    assert reply.status_code == 200, reply.text
    sent = double.calls()[-1].body
    assert {name: sent[name] for name in members} == members


def test_a_fallback_that_does_not_allow_an_option_is_not_asked(
    client: httpx.Client, double: Double, other: Double
) -> None:
    prompt = double.script("x", Answer(status=503))
    endpoints = {"first": endpoint(double.url, allow=["store"]), "second": endpoint(other.url)}
    user = user_of(client, endpoints, ["second"])
    assert ask(user, prompt, store=True).status_code == 502
    assert other.calls() == []


def refused_member(user: User, protocol: str, members: dict[str, Any]) -> str | None:
    """Of a request whose provider is not reached here."""
    reply = ask(user, "Hi", protocol, **members)
    if reply.status_code != 400:
        assert reply.status_code in (502, 504), reply.text
        return None
    return str(reply.json()["error"]["message"]).partition(" ")[0]


OWN_HOSTS = {
    "openai": [
        *("https://api.openai.com", "https://API.openai.com.:8443", "https://eu.api.openai.com"),
    ],
    "anthropic": ["https://api.anthropic.com"],
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_at_the_makers_hosts_only_known_members_pass(
    hasty_client: httpx.Client, protocol: str
) -> None:
    for host in OWN_HOSTS[protocol]:
        user = user_at(hasty_client, host, protocol, allow=["x_allowed"])
        for member in ("x_new", "seed_", "citations", "priced_2027"):
            assert refused_member(user, protocol, {member: 1}) == member
    assert refused_member(user, protocol, {"x_allowed": 1, "x_null": None}) is None


BETAS = {
    "context-1m-2025-08-07": 400,
    "interleaved-thinking-2025-05-14, Context-1M-2025-08-07": 400,
    "extended-cache-ttl-2025-04-11": 400,
    "fast-mode-2026-02-01": 400,
    "files-api-2025-04-14": 400,
    "interleaved-thinking-2025-05-14,claude-code-20250219": 200,
    "some-beta-2026-01-01": 200,
}


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_betas_that_cost_more_are_refused(client: httpx.Client, double: Double, asked: str) -> None:
    user = user_at(client, double.url, "anthropic")
    for beta, status in BETAS.items():
        assert ask(user, "Hi", asked, {"anthropic-beta": beta}).status_code == status, beta
    for allowed in ("anthropic-beta", "context-1m-2025-08-07"):
        user = user_at(client, double.url, "anthropic", allow=[allowed])
        headers = {"anthropic-beta": "context-1m-2025-08-07"}
        assert ask(user, "Hi", asked, headers).status_code == 200
        assert double.calls()[-1].headers["anthropic-beta"] == headers["anthropic-beta"]


def test_search_models_are_offered_by_name_alone(client: httpx.Client, double: Double) -> None:
    user = user_at(client, double.url, models=["*"], allow=["gpt-4o-search-preview"])
    assert ask(user, "Hi", model="main/gpt-4o-search-preview").status_code == 200
    for model in ("gpt-5-search-api", "sonar-pro", "o3-deep-research", "any:online"):
        assert ask(user, "Hi", model=f"main/{model}").status_code == 404
    named = user_at(client, double.url, models=["sonar-pro"])
    assert ask(named, "Hi", model="sonar-pro").status_code == 200


@pytest.mark.parametrize("asked", PROTOCOLS)
def test_what_an_endpoint_forces_is_sent_whatever_a_client_says(
    client: httpx.Client, double: Double, asked: str
) -> None:
    force = {"temperature": 0.25, "store": False, "seed": None}
    user = user_at(client, double.url, force=force)
    members: dict[str, Any] = {"temperature": 1}
    if asked == "openai":
        members |= {"store": True, "seed": 5}
    for given in ({}, members):
        assert ask(user, "Hi", asked, **given).status_code == 200
        sent = double.calls()[-1].body
        assert (sent["temperature"], sent["store"], "seed" in sent) == (0.25, False, False)


CANNOT_BE_FORCED = ["model", "messages", "input", "max_tokens", "max_output_tokens", "stream", "n"]


@pytest.mark.parametrize("name", CANNOT_BE_FORCED)
def test_what_cannot_be_forced(api: Api, name: str) -> None:
    value = text_config({"main": endpoint("https://provider.example", force={name: 1})})
    reply = api.put_config(value)
    assert reply.status_code == 422
    assert reply.json()["details"][0]["path"] == "providers.text.endpoints.main.force"


CLAIMS: dict[str, dict[str, Any]] = {
    "openai": {"user": "somebody", "safety_identifier": "else"},
    "anthropic": {"metadata": {"user_id": "somebody", "more": "x"}},
}


@pytest.mark.parametrize("spoken", PROTOCOLS)
@pytest.mark.parametrize("asked", PROTOCOLS)
def test_the_provider_knows_a_user_by_our_name_for_it(
    client: httpx.Client, double: Double, asked: str, spoken: str
) -> None:
    user = user_at(client, double.url, spoken)
    claims = CLAIMS[asked]
    for members in ({}, claims):
        assert post(user, asked, members).status_code == 200
        sent = double.calls()[-1].body
        known = sha256(f"{user.api.tenant_id}:{user.user_id}".encode()).hexdigest()
        if spoken == "anthropic":
            assert sent["metadata"] == {"user_id": known}
        else:
            assert (sent["user"], "safety_identifier" in sent) == (known, False)
    nameless = user_at(client, double.url, spoken, force={"user": None})
    assert post(nameless, asked, claims).status_code == 200
    assert not {"user", "safety_identifier", "metadata"} & double.calls()[-1].body.keys()
    assert used(nameless) == 25


def test_what_is_forced_and_cannot_be_sent_is_no_500(client: httpx.Client, valkey: Valkey) -> None:
    """What others have stored can be nested more deeply than what is put."""
    user, deep = user_at(client, "https://provider.invalid"), "[" * 300 + "]" * 300
    name = f"tenant:{user.api.tenant_id}:config"
    stored = str(valkey.client.get(name)).replace(
        '"api_key":', f'"force":{{"a":{deep}}},"api_key":'
    )
    valkey.client.set(name, stored)
    assert ask(user, "Hi").status_code == 503
