"""Responses that an endpoint keeps, where its config allows that: each is its user's alone."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.api import ADMIN, User
from tests.doubles import Answer, Double
from tests.endpoints import endpoint
from tests.gateway.asking import ask, estimate, stream, used, user_of
from tests.gateway.raw_provider import Answer as RawAnswer
from tests.gateway.raw_provider import RawProvider, whole
from tests.processes import Valkey
from tests.stored import left_ms

REFUSED = "The provider refused the request"
TEXT = "One two three four five."
WEEK_MS = 7 * 24 * 60 * 60 * 1000


def speaking(double: Double, **members: Any) -> dict[str, Any]:
    url = f"{double.url}/v1/responses"
    return endpoint(double.url, responses_url=url, **{"allow": ["store"], **members})


@pytest.fixture
def user(client: httpx.Client, double: Double) -> User:
    return user_of(client, {"main": speaking(double)})


def made(user: User, double: Double, streamed: bool = False, **members: Any) -> str:
    """The ID of a response of this user's."""
    prompt = double.script("x", Answer())
    if streamed:
        return str(json.loads(stream(user, prompt, "responses", **members)[-1])["response"]["id"])
    reply = ask(user, prompt, "responses", **members)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def get(user: User, response_id: str, query: str = "") -> httpx.Response:
    return user.api.get(f"/v1/responses/{response_id}{query}", user.headers)


def delete(user: User, response_id: str) -> httpx.Response:
    path = f"/{user.api.tenant_id}/v1/responses/{response_id}"
    return user.api.client.delete(path, headers=user.headers)


def assert_unknown(reply: httpx.Response, param: str | None = None) -> None:
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (404, "response_not_found"), reply.text
    assert (error["param"], reply.headers["x-should-retry"]) == (param, "false")


@pytest.mark.parametrize("streamed", [False, True])
def test_its_user_goes_on_with_it(user: User, double: Double, streamed: bool) -> None:
    """All that it has is in the prompt of the next, and held for it."""
    first = made(user, double, streamed)
    prompt = double.script("y", Answer(input_tokens=45, stop_at=2))
    before = used(user)
    assert before == 25
    with user.api.client.stream(
        "POST",
        f"/{user.api.tenant_id}/v1/responses",
        json={
            "input": prompt,
            "previous_response_id": first,
            "max_output_tokens": 100,
            "stream": True,
        },
        headers=user.headers,
    ) as reply:
        assert user.balance()["tokensHeld"] == pytest.approx(
            estimate(prompt, first) + 25 + 100, abs=1
        )
        double.release("y")
        reply.read()
    assert double.calls("y")[0].body["previous_response_id"] == first
    assert used(user) == before + 50


@pytest.mark.parametrize("streamed", [False, True])
def test_its_user_has_it_and_deletes_it(user: User, double: Double, streamed: bool) -> None:
    response_id = made(user, double, streamed)
    found = get(user, response_id)
    assert (found.status_code, found.json()["id"]) == (200, response_id)
    assert "ratelimit" in found.headers
    gone = delete(user, response_id)
    assert (gone.status_code, gone.json()["deleted"]) == (200, True)
    assert_unknown(get(user, response_id))
    assert_unknown(delete(user, response_id))
    assert used(user) == 25


def test_another_user_has_nothing_of_it(user: User, double: Double) -> None:
    response_id, other = made(user, double), user.api.login()
    assert_unknown(get(other, response_id))
    assert_unknown(delete(other, response_id))
    reply = ask(other, "Hi", "responses", previous_response_id=response_id)
    assert_unknown(reply, "previous_response_id")
    assert used(other) == 0
    assert len(double.calls()) == 1
    assert get(user, response_id).status_code == 200


def test_a_restricted_key_has_what_it_has_made(user: User, double: Double) -> None:
    key, response_id = user.restricted(tokens=10_000), made(user, double)
    assert_unknown(get(key, response_id))
    own = made(key, double)
    assert get(key, own).status_code == 200
    assert get(user, own).status_code == 200


def test_it_is_kept_for_a_week(user: User, double: Double, valkey: Valkey) -> None:
    made(user, double)
    [key] = valkey.client.keys(f"{{user:{user.user_id}}}:response:*")
    assert WEEK_MS - 60_000 < left_ms(valkey, str(key)) <= WEEK_MS


def test_what_a_client_wants_forgotten_is_not_kept(user: User, double: Double) -> None:
    response_id = made(user, double, store=False)
    assert double.calls()[0].body["store"] is False
    assert_unknown(get(user, response_id))


def test_without_leave_there_is_nothing_to_be_had(client: httpx.Client, double: Double) -> None:
    user = user_of(client, {"main": speaking(double, allow=["previous_response_id"])})
    response_id = made(user, double)
    assert double.calls()[0].body["store"] is False
    assert_unknown(get(user, response_id))
    reply = ask(user, "Hi", "responses", previous_response_id=response_id)
    assert_unknown(reply, "previous_response_id")


def test_only_the_endpoint_that_has_it_is_asked(
    client: httpx.Client, double: Double, other: Double
) -> None:
    user = user_of(client, {"main": speaking(double), "other": speaking(other)}, ["other"])
    prompt = double.script("x", Answer(status=500))
    first = ask(user, prompt, "responses").json()["id"]
    assert (len(double.calls()), len(other.calls())) == (1, 1)
    reply = ask(user, "#y", "responses", previous_response_id=first)
    assert reply.status_code == 200, reply.text
    assert (len(double.calls()), len(other.calls())) == (1, 2)
    assert get(user, first).status_code == 200


@pytest.mark.parametrize("previous", ["resp_none", "", "../files", "a b", "x" * 400])
def test_an_id_that_there_is_not(user: User, double: Double, previous: str) -> None:
    reply = ask(user, "Hi", "responses", previous_response_id=previous)
    if previous:
        assert_unknown(reply, "previous_response_id")
        assert double.calls() == []


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"endpoints": ["embeddings"]}, "endpoint_not_allowed"),
        ({"prompts_only": True}, "prompts_only"),
    ],
)
def test_who_may_ask_for_none_any_more(
    user: User, double: Double, members: dict[str, Any], code: str
) -> None:
    response_id = made(user, double)
    config = user.api.get("/admin/config", ADMIN).json()["config"]
    config["user_groups"]["anonymous"] |= members
    assert user.api.put_config(config).is_success
    for reply in (get(user, response_id), delete(user, response_id)):
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, code)


def test_one_can_only_be_had_whole(user: User, double: Double) -> None:
    reply = get(user, made(user, double), "?stream=true")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "stream")


def test_one_that_the_provider_has_no_more(user: User, double: Double) -> None:
    response_id = made(user, double)
    httpx.delete(f"{double.url}/v1/responses/{response_id}", headers={"authorization": "Bearer a"})
    assert_unknown(get(user, response_id))


def test_of_an_error_no_more_is_read_than_of_any(client: httpx.Client) -> None:
    said = b'{"error": {"message": "No", "pad": "%b"}}' % (b"x" * 100_000)
    with served(client, whole(said, "400 Bad Request")) as user:
        reply = get(user, "resp_1")
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, REFUSED)


def test_a_silent_provider_is_not_waited_for(hasty_client: httpx.Client) -> None:
    with served(hasty_client, silent) as user:
        for reply in (get(user, "resp_1"), delete(user, "resp_1")):
            assert (reply.status_code, reply.json()["error"]["code"]) == (504, "provider_timeout")


def silent(connection: socket.socket) -> None:
    """Until the other side has gone."""
    connection.recv(1)


@contextmanager
def served(client: httpx.Client, kept: RawAnswer) -> Iterator[User]:
    """A user with the response resp_1, of which `kept` answers all questions."""
    item = {"type": "message", "role": "assistant", "content": []}
    made = whole(json.dumps({"id": "resp_1", "status": "completed", "output": [item]}).encode())

    def answer(connection: socket.socket) -> None:
        is_first = provider.requests[-1][0].startswith(b"POST")
        (made if is_first else kept)(connection)

    with RawProvider(answer) as provider:
        url = f"{provider.url}/v1/responses"
        main = endpoint(provider.url, responses_url=url, allow=["store"])
        user = user_of(client, {"main": main})
        assert ask(user, "Hi", "responses").status_code == 200
        yield user


def test_they_count_for_the_rate(client: httpx.Client, double: Double) -> None:
    user = user_of(client, {"main": speaking(double)})
    response_id = made(user, double)
    counts = [int(get(user, response_id).headers["ratelimit"].split("r=")[1].split(";")[0])]
    counts.append(int(get(user, response_id).headers["ratelimit"].split("r=")[1].split(";")[0]))
    assert counts[0] - counts[1] == 1
