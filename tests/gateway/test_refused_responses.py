"""What of a request for responses is refused, and what is sent instead of it."""

from typing import Any

import httpx
import pytest

from tests.api import Api, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PATHS, ask, used, user_of

BETWEEN: list[Any] = [{"role": "user", "content": "Hi"}]


def speaking(double: Double, **members: Any) -> dict[str, Any]:
    return endpoint(double.url, responses_url=f"{double.url}/v1/responses", **members)


@pytest.fixture
def user(client: httpx.Client, double: Double) -> User:
    return user_of(client, {"main": speaking(double)})


def post(user: User, /, **members: Any) -> httpx.Response:
    body = {"input": BETWEEN, **members}
    return user.api.post(PATHS["responses"], body, user.headers)


KEPT: list[tuple[dict[str, Any], str]] = [
    ({"background": True}, "background"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0"),
    ({"input": [*BETWEEN, {"id": "rs_1"}]}, "input.1"),
    ({"input": [*BETWEEN, {"id": "msg_1", "role": None}]}, "input.1"),
    ({"input": [*BETWEEN, {"id": "ig_1", "type": "image_generation_call"}]}, "input.1"),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    *KEPT,
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"store": True}, "store"),
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": {"role": "user"}}, "input"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": "9"}, "max_output_tokens"),
    ({"max_completion_tokens": 9}, "max_completion_tokens"),
    ({"max_tokens": 9}, "max_tokens"),
    ({"Max_Output_Tokens": 9}, "Max_Output_Tokens"),
    ({"Prompt": {"id": "pmpt_1"}}, "Prompt"),
    ({"stream": "yes"}, "stream"),
    ({"service_tier": "priority"}, "service_tier"),
    ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
]
HOSTED: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("web_search", "web_search_preview", "file_search")),
    *({"type": kind} for kind in ("computer", "computer_use_preview", "code_interpreter")),
    *({"type": kind} for kind in ("image_generation", "tool_search", "programmatic_tool_calling")),
    {"type": "mcp", "server_label": "a", "server_url": "https://example.com"},
    {"type": "shell", "environment": {"type": "container_auto"}},
    {"type": "namespace", "name": "a", "description": "", "tools": [{"type": "web_search"}]},
]
OFFLINE = {"type": "web_search", "external_web_access": False}
OF_CLIENTS: list[dict[str, Any]] = [
    *({"type": kind, "name": "a"} for kind in ("function", "custom")),
    *({"type": kind} for kind in ("local_shell", "apply_patch")),
    {"type": "shell", "environment": {"type": "local"}},
    {"type": "tool_search", "execution": "client"},
    {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "b"}]},
]
FILES: list[dict[str, Any]] = [
    {"type": "input_file", "file_id": "file_1"},
    {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    {"type": "input_image", "file_id": "file_1"},
    {"type": "input_image", "image_url": "data:application/pdf;base64,AAAA"},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
]


def assert_refused(user: User, param: str, **members: Any) -> None:
    reply = post(user, **members)
    assert reply.status_code == 400, (members, reply.text)
    assert reply.json()["error"]["param"] == param, (members, reply.text)


def test_it_is_named_and_costs_nothing(user: User, double: Double) -> None:
    for members, param in REFUSED:
        assert_refused(user, param, **members)
    assert (double.calls(), used(user)) == ([], 0)


def test_no_endpoint_can_allow_what_belongs_to_the_whole_tenant(
    client: httpx.Client, double: Double
) -> None:
    allow = ["store", "background", "conversation", "prompt", "previous_response_id"]
    user = user_of(client, {"main": speaking(double, allow=allow, unbounded=True)})
    for members, param in KEPT:
        assert_refused(user, param, **members)
    assert double.calls() == []


def test_tools_that_run_at_the_provider(user: User, double: Double) -> None:
    """Items can offer some, too."""
    for tool in HOSTED:
        offered = {"type": "additional_tools", "role": "developer", "tools": [tool]}
        assert_refused(user, "tools.1", tools=[{"type": "custom", "name": "a"}, tool])
        assert_refused(user, "input.1.tools.0", input=[*BETWEEN, offered])
    assert double.calls() == []


def test_files(user: User, double: Double) -> None:
    """In messages, and in what tools have given."""
    given = {"type": "function_call_output", "call_id": "c"}
    for part in FILES:
        for item, place in ((BETWEEN[0], "content"), (given, "output")):
            parts = [{"type": "input_text", "text": "a"}, part]
            assert_refused(user, f"input.0.{place}.1", input=[{**item, place: parts}])
    assert double.calls() == []


def test_tools_of_the_client_pass(user: User, double: Double) -> None:
    assert post(user, tools=OF_CLIENTS).status_code == 200
    [call] = double.calls()
    assert call.body["tools"] == OF_CLIENTS


def test_an_unbounded_endpoint_takes_tools_and_files(client: httpx.Client, double: Double) -> None:
    user = user_of(client, {"main": speaking(double, unbounded=True)})
    said = [{"role": "user", "content": [{"type": "input_text", "text": "a"}, FILES[0]]}]
    assert post(user, input=said, tools=[HOSTED[0]]).status_code == 200
    [call] = double.calls()
    assert call.body["tools"] == [HOSTED[0]]


def test_nothing_is_stored(user: User, double: Double) -> None:
    for members in ({}, {"store": False}, {"store": None}):
        assert post(user, **members).status_code == 200
    assert [call.body["store"] for call in double.calls()] == [False] * 3


def test_reasoning_that_only_the_provider_could_look_up_is_left_out(
    user: User, double: Double
) -> None:
    answer = {"type": "message", "role": "assistant", "content": "Hello"}
    mere = {"type": "reasoning", "id": "rs_1", "summary": []}
    referred = {"type": "item_reference", "id": "rs_1"}
    given = [*BETWEEN, mere, answer, referred, BETWEEN[0]]
    assert post(user, input=given).status_code == 200
    [call] = double.calls()
    assert call.body["input"] == [*BETWEEN, answer, BETWEEN[0]]


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_what_clients_send_unasked_is_left_out_of_a_translation(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    """The AI SDK its references to reasoning, Codex its search."""
    user = user_of(client, {"main": endpoint(double.url, protocol)})
    given = [*BETWEEN, {"type": "item_reference", "id": "rs_1"}]
    assert post(user, input=given, tools=[OF_CLIENTS[0], OFFLINE]).status_code == 200
    [call] = double.calls()
    assert (len(call.body["messages"]), len(call.body["tools"])) == (1, 1)


def test_a_search_without_the_web_is_left_out_unless_all_tools_are_taken(
    client: httpx.Client, user: User, double: Double
) -> None:
    assert post(user, tools=[OF_CLIENTS[0], OFFLINE]).status_code == 200
    unbounded = user_of(client, {"main": speaking(double, unbounded=True)})
    assert post(unbounded, tools=[OFFLINE]).status_code == 200
    assert [call.body["tools"] for call in double.calls()] == [[OF_CLIENTS[0]], [OFFLINE]]
    refused = post(user, tools=[OFFLINE, HOSTED[0]])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools.1")
    other = ask(user, "Hi", tools=[OFFLINE])
    assert (other.status_code, other.json()["error"]["param"]) == (400, "tools.0")


def test_whose_call_it_is_a_client_cannot_say(user: User, double: Double) -> None:
    assert post(user, **{"user": "me", "safety_identifier": "me"}).status_code == 200
    [call] = double.calls()
    assert len(call.body["user"]) == 64
    assert "safety_identifier" not in call.body


def test_what_is_forced_is_sent(client: httpx.Client, double: Double) -> None:
    forced = {"temperature": 0.3, "store": None, "user": None}
    user = user_of(client, {"main": speaking(double, force=forced)})
    assert post(user, temperature=1, store=True).status_code == 200
    [call] = double.calls()
    assert call.body["temperature"] == 0.3
    assert {"store", "user"}.isdisjoint(call.body)


def test_members_that_nobody_knows_pass_elsewhere_than_at_openai(
    user: User, double: Double
) -> None:
    assert post(user, x_unknown=[1]).status_code == 200
    [call] = double.calls()
    assert call.body["x_unknown"] == [1]


@pytest.mark.parametrize(
    ("window", "kind"), [(60, "rate_limit_error"), (3600, "usage_limit_reached")]
)
def test_a_wait_that_is_long_is_an_end(
    client: httpx.Client, double: Double, window: int, kind: str
) -> None:
    """Codex would wait for it in silence, an hour too."""
    group = {"tokens": 1000, "rate_limit": 1, "rate_limit_window": window}
    value = text_config({"main": speaking(double)}, anonymous=group)
    user = Api.new_tenant(client, value).login()
    assert post(user).status_code == 200
    reply = post(user)
    assert (reply.status_code, reply.json()["error"]["type"]) == (429, kind)
    assert int(reply.headers["retry-after"]) <= window
    assert ask(user, "Hi").json()["error"]["type"] == "rate_limit_error"


def test_a_model_that_is_not_offered(user: User) -> None:
    reply = post(user, model="others")
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("key", [{}, {"Authorization": "Bearer nobody"}])
def test_a_key_is_needed(user: User, key: dict[str, str]) -> None:
    reply = user.api.post(PATHS["responses"], {"input": "Hi"}, key)
    assert (reply.status_code, reply.headers["x-should-retry"]) == (401, "false")
    assert reply.json()["error"]["code"] == "invalid_api_key"


def test_deep_nesting_is_refused(user: User, double: Double) -> None:
    deep: Any = "a"
    for _ in range(130):
        deep = [deep]
    assert post(user, input=deep).status_code == 400
    assert double.calls() == []


def test_a_provider_s_refusal_is_passed_on(user: User, double: Double) -> None:
    prompt = double.script("x", Answer(status=400))
    reply = ask(user, prompt, "responses")
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "The double answers 400.")
    assert used(user) == 0
