"""Server prompts in a config: what is refused when it is put, and changes nothing."""

import json
from typing import Any

import httpx
import pytest

from server.tenants.prompts import LONGEST_MATCHED, LONGEST_PROMPT, LONGEST_VALUE, MOST_PATTERNS
from tests.api import ADMIN, Api
from tests.endpoints import endpoint, text_config
from tests.processes import Valkey

URL = "https://provider.invalid"
PROMPT = {"model": "cheap", "messages": [{"role": "user", "content": "A haiku about {{topic}}"}]}
TOPIC: dict[str, Any] = {"variables": {"topic": {}}}


def with_prompts(prompts: object) -> dict[str, Any]:
    main = endpoint(URL, default_model="cheap", models=["dear", "prompt/taken"])
    return text_config({"main": main}) | {"prompts": prompts}


def with_prompt(**members: object) -> dict[str, Any]:
    return with_prompts({"haiku": {**PROMPT, **TOPIC, **members}})


def faults_of(reply: httpx.Response) -> dict[str, str]:
    assert reply.status_code == 422, reply.text
    return {detail["path"]: detail["message"] for detail in reply.json()["details"]}


def tool(**members: object) -> list[dict[str, object]]:
    return [{"type": "function", "function": {"name": "f"}, **members}]


GOOD: list[dict[str, Any]] = [
    {},
    {"model": "dear"},
    {"model": "main/dear"},
    {"model": "main/"},
    {"system": "Of {{topic}} {{topic}}, { {{ {{}} {{a b}} {{ topic }} {topic}"},
    {"messages": [], "chat": True},
    {"variables": {"topic": {}, "not.used-1": {"max_length": LONGEST_VALUE}}},
    {"variables": {"topic": {"pattern": r"[\w ]+|\p{Lu}+", "enum": ["a", ""]}}},
    {"max_output": 5, "tools": tool(), "response_format": {"type": "json_object"}},
    {"ours": 5},
]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, ".model"),
    ({"model": "unknown"}, ""),
    ({"model": "prompt/haiku"}, ""),
    ({"system": 5}, ".system"),
    ({"system": "{{subject}}"}, "."),
    ({"messages": []}, "."),
    ({"messages": "Hi"}, ".messages"),
    ({"messages": [{"role": "system", "content": "a"}]}, ".messages.0.role"),
    ({"messages": [{"role": "user", "content": ""}]}, ".messages.0.content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, ".messages.0.content"),
    ({"variables": {}}, "."),
    ({"variables": {"topic": {}, "a b": {}}}, ".variables.a b"),
    ({"variables": {"topic": {"max_length": 0}}}, ".variables.topic.max_length"),
    ({"variables": {"topic": {"max_length": LONGEST_VALUE + 1}}}, ".variables.topic.max_length"),
    ({"variables": {"topic": {"enum": []}}}, ".variables.topic.enum"),
    ({"variables": {"topic": {"enum": [5]}}}, ".variables.topic.enum.0"),
    ({"max_output": 0}, ".max_output"),
    ({"tools": []}, ".tools"),
    ({"tools": tool(type="web_search")}, ".tools"),
    ({"tools": tool(function={"name": "a b"})}, ".tools"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, ".tools"),
    ({"response_format": {"type": "grammar"}}, ".response_format"),
    ({"chat": "yes"}, ".chat"),
    ({"variables": {"topic": {"pattern": "a", "max_length": LONGEST_MATCHED + 1}}}, "."),
    ({"variables": {name: {"pattern": "a"} for name in ("topic", *"abcd")}}, "."),
    ({"system": "{{topic}}" * (LONGEST_PROMPT // 500)}, "."),
]
BAD_PATTERNS = [
    *("", "(", "a)|(?:b", "[", "a\\", "*", r"(?=a)b", r"(?<!a)b", r"(a)\1", "(?x)a # b", "x" * 201),
    *(r"\w{999}", r"[\w ]{1,200}", "((a{1,99}){1,99}){1,99}", ".{0,4000}"),
]


@pytest.mark.parametrize("members", GOOD)
def test_a_prompt(api: Api, members: dict[str, Any]) -> None:
    reply = api.put_config(with_prompt(**members))
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(("members", "path"), BAD)
def test_what_is_no_prompt_is_422_and_changes_nothing(
    api: Api, members: dict[str, Any], path: str
) -> None:
    before = api.get("/admin/config", ADMIN).content
    wanted = f"prompts.haiku{path}".rstrip(".") if path else "prompts"
    assert list(faults_of(api.put_config(with_prompt(**members)))) == [wanted]
    assert api.get("/admin/config", ADMIN).content == before


@pytest.mark.parametrize("pattern", BAD_PATTERNS)
def test_what_the_engine_does_not_take_is_422(api: Api, pattern: str) -> None:
    value = with_prompt(variables={"topic": {"pattern": pattern}})
    assert list(faults_of(api.put_config(value))) == ["prompts.haiku.variables.topic.pattern"]


@pytest.mark.parametrize("count", [MOST_PATTERNS, MOST_PATTERNS + 1])
def test_so_many_patterns_may_a_config_have(api: Api, count: int) -> None:
    prompts = {
        f"p{number}": {**PROMPT, "variables": {"topic": {"pattern": f"a{number % count}"}}}
        for number in range(2 * count)
    }
    reply = api.put_config(with_prompts(prompts))
    assert reply.status_code == (200 if count == MOST_PATTERNS else 422)


@pytest.mark.parametrize(
    "prompts", [[], "haiku", {"a b": PROMPT | TOPIC}, {"taken": PROMPT | TOPIC}, {"haiku": "Hi"}]
)
def test_what_are_no_prompts_is_422(api: Api, prompts: object) -> None:
    assert faults_of(api.put_config(with_prompts(prompts)))


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_what_its_endpoints_protocol_has_no_words_for_is_422(api: Api, protocol: str) -> None:
    value = with_prompt(tools=tool(function={"name": "f", "own": True}))
    value["providers"]["text"]["endpoints"]["main"]["protocol"] = protocol
    reply = api.put_config(value)
    if protocol == "openai":
        assert reply.status_code == 200
    else:
        assert "haiku: tools.0.function.own" in faults_of(reply)["prompts"]


@pytest.mark.parametrize("kind", ["text", "realtime"])
def test_prompt_is_no_name_for_a_new_endpoint(api: Api, kind: str, valkey: Valkey) -> None:
    value = with_prompts({})
    value["providers"][kind] = {"endpoints": {"prompt": endpoint(URL)}}
    (path,) = faults_of(api.put_config(value))
    assert path == f"providers.{kind}.endpoints.prompt"
    valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
    assert api.post("/auth/anonymous").status_code == 200
