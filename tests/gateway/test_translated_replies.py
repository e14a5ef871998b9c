"""Replies that become larger when they are translated: as they are then they take room, too."""

import json
import threading

import httpx

from tests.endpoints import endpoint
from tests.gateway.asking import ask, used, user_of
from tests.gateway.raw_provider import RawProvider, whole
from tests.gateway.test_large_replies import MEBIBYTE, OF_A_USER, Held

USAGE = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}


def test_a_reply_takes_room_as_its_client_gets_it(client: httpx.Client) -> None:
    calls = [
        {"id": f"{number}" + "." * 65_000, "function": {"name": "f", "arguments": "{}"}}
        for number in range(60)
    ]
    choice = {"message": {"tool_calls": calls}, "finish_reason": "tool_calls"}
    body = json.dumps({"choices": [choice], "usage": USAGE}).encode()
    held = Held(OF_A_USER - 8 * MEBIBYTE)
    with RawProvider(held) as slow, RawProvider(whole(body)) as quick:
        endpoints = {"slow": endpoint(slow.url), "quick": endpoint(quick.url, models=["any"])}
        user = user_of(client, endpoints, tokens=10**6)
        caller = threading.Thread(target=lambda: ask(user, "Hi"))
        caller.start()
        assert held.is_sent.wait(20)  # and read, but for what sockets keep
        assert ask(user, "Hi", model="quick/any").status_code == 200
        reply = ask(user, "Hi", "anthropic", model="quick/any")
        assert (reply.status_code, reply.json()["error"]["message"]) == (
            502,
            "The provider's reply is too large",
        )
        assert reply.headers["x-tokens-charged"] == "25"
        held.go_on.set()
        caller.join()
        reply = ask(user, "Hi", "anthropic", model="quick/any")
        assert (reply.status_code, len(reply.content) > 2.9 * len(body)) == (200, True)
        assert used(user) > 0
