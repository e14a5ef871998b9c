"""What an endpoint's requests have of its own: headers, and a query."""

import socket
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import orjson
import pytest

from server.tenants.text import TextEndpoint
from tests.api import Api
from tests.doubles import Answer, Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import PATHS, PROTOCOLS, ask, body_of, stream, user_at
from tests.gateway.raw_provider import RawProvider, whole

SECRET = "the-tenants-own-secret"
HEADERS = {"api-key": SECRET, "X-Title": "An app"}
QUERY = {"api-version": "2026-10-21", "key": f"{SECRET}/2 &"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_they_are_sent_with_each_request(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, protocol, headers=HEADERS, query=QUERY, api_key="sk-usual")
    assert ask(user, "#own", protocol).status_code == 200
    stream(user, "#own", protocol)
    for call in double.calls("own"):
        assert (call.headers["api-key"], call.headers["x-title"]) == (SECRET, "An app")
        assert dict(httpx.QueryParams(call.query)) == QUERY


def test_a_query_is_added_to_that_of_the_url(client: httpx.Client, double: Double) -> None:
    url = endpoint(double.url)["url"]
    user = user_at(client, double.url, url=f"{url}?a=b#c", query={"d": "e"})
    assert ask(user, "#own").status_code == 200
    (call,) = double.calls("own")
    assert call.query == "a=b&d=e"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_key_nothing_says_that_there_is_one(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    config = endpoint(double.url, protocol, headers={"api-key": SECRET})
    del config["api_key"]
    user = Api.new_tenant(client, text_config({"main": config})).login()
    # The double refuses whoever has neither of the usual headers.
    reply = user.api.post(
        PATHS[protocol],
        body_of(protocol, "#own", model=config["default_model"]),
        user.headers,
    )
    assert reply.json()["error"]["code"] == "provider_auth_error", reply.text
    (call,) = double.calls("own")
    assert not {"authorization", "x-api-key"} & call.headers.keys()
    assert call.headers["api-key"] == SECRET


@pytest.mark.parametrize("is_stream", [False, True])
def test_nobody_is_told_them(client: httpx.Client, double: Double, is_stream: bool) -> None:
    user = user_at(client, double.url, headers=HEADERS, query=QUERY)
    said = {"error": {"message": f"No {SECRET}, no {QUERY['key']}", "type": "invalid_request"}}
    double.script("own", Answer(status=400, raw_body=orjson.dumps(said)))
    reply = ask(user, "#own", stream=is_stream)
    assert reply.status_code == 400
    assert reply.json()["error"]["message"] == "No ***, no ***"


def test_nobody_is_told_them_in_part_or_as_a_url_has_them(client: httpx.Client) -> None:
    """By a server that says what was asked for."""

    def answer(connection: socket.socket) -> None:
        head = provider.requests[-1][0].decode()
        said = {"error": {"message": f"{head.splitlines()[0]} {SECRET[4:]}"}}
        whole(orjson.dumps(said), "400 Bad Request")(connection)

    key = "a/bc+defg==h i&'(é)"
    with RawProvider(answer) as provider:
        headers = {"x-auth": f"Token {SECRET[4:]}"}
        user = user_at(client, provider.url, headers=headers, query={"key": key})
        message = ask(user, "#own").json()["error"]["message"]
    assert message == "POST /v1/chat/completions?key=*** HTTP/1.1 ***"
    endpoint = TextEndpoint.model_validate({"query": {"key": key}})
    assert {quote(key, safe=""), quote_plus(key)} < {*endpoint.secrets}


REFUSED: list[tuple[str, Any]] = [
    ("headers", {"Authorization": "Bearer x"}),
    ("headers", {"X-API-Key": "x"}),
    ("headers", {"a b": "x"}),
    ("headers", {"a": "x\r\nb: y"}),
    ("headers", {"a": "é"}),
    ("headers", {"a": "x", "A": "y"}),
    ("headers", {f"a{number}": "x" for number in range(21)}),
    ("headers", ["a"]),
    ("query", {"a": 1}),
    ("query", {"a": ""}),
    ("query", {f"a{number}": "x" for number in range(21)}),
]


@pytest.mark.parametrize(("member", "value"), REFUSED)
def test_what_cannot_be_sent_is_422(
    client: httpx.Client, double: Double, member: str, value: Any
) -> None:
    api = Api.new_tenant(client)
    reply = api.put_config(text_config({"main": endpoint(double.url, **{member: value})}))
    assert reply.status_code == 422, reply.text
    (fault,) = reply.json()["details"]
    assert fault["path"].startswith(f"providers.text.endpoints.main.{member}"), fault


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_none_can_replace_what_is_set_for_each_call(
    client: httpx.Client, double: Double, protocol: str
) -> None:
    user = user_at(client, double.url, protocol)
    assert ask(user, "#own", protocol, {"anthropic-beta": "effort-2025"}).status_code == 200
    (call,) = double.calls("own")
    assert len(call.headers) >= 6
    for name in call.headers:
        config = text_config({"main": endpoint(double.url, headers={name.title(): "x"})})
        assert user.api.put_config(config).status_code == 422, name
