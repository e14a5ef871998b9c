"""A page of another origin: it speaks a sound file with each client, until it is cut off."""

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browsers.browser import Browser
from tests.browsers.site import Site
from tests.doubles.realtime import silence, speech
from tests.node import Node
from tests.voice_clients.callers import Caller
from tests.voice_clients.checks import was_charged_as_reported, was_cut_off, was_said

SECONDS = 90
TOKENS = 500
CLIENTS = ("agents", "openai", "socket")
KEY = "openai-insecure-api-key.{}"
BETA = "openai-beta.realtime-v1"
OPENS = {"protocol": "realtime", "first": "session.created"}
FAILS = {"code": 1006}
OFFERS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "as the SDK": (["realtime", KEY], OPENS),
    "as the Agents SDK": (["realtime", KEY, "openai-agents-sdk.0.20.0"], OPENS),
    "the key first": ([KEY, "realtime"], OPENS),
    "others beside it": (["other", KEY, "realtime"], OPENS),
    # Nothing is selected then, and never the key; browsers want one of those that they offer.
    "the key alone": ([KEY], FAILS),
    "the beta": (["realtime", KEY, BETA], FAILS),
    "no key": (["realtime"], FAILS),
}
"""What a page may offer, and what becomes of it."""


class Visit:
    def __init__(self, found: dict[str, Any], callers: dict[str, Caller]) -> None:
        self.found = found
        self.callers = callers


def write_speech(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(silence(0.2) + speech(1) + silence(0.6))


@pytest.fixture(scope="module")
def folder(node: Node) -> Path:
    esbuild = str(node.folder / "node_modules" / ".bin" / "esbuild")
    options = ["--bundle", "--format=esm", "--platform=browser", "--outfile=bundle.js"]
    node.run([esbuild, "page.js", *options])
    write_speech(node.folder / "speech.wav")
    return node.folder


@pytest.fixture(scope="module")
def visit(
    folder: Path,
    new_caller: Callable[..., Caller],
    tmp_path_factory: pytest.TempPathFactory,
) -> Visit:
    """A page that does all that the tests ask about."""
    with Site(folder) as site:
        callers, plan = _plan(new_caller, site.origin)
        with Browser("chromium", tmp_path_factory.mktemp("chromium"), site.page(plan)):
            return Visit(site.found(SECONDS), callers)


def _plan(
    new_caller: Callable[..., Caller], origin: str
) -> tuple[dict[str, Caller], dict[str, Any]]:
    callers, plan = {}, {}

    def add(name: str, caller: Caller, **does: Any) -> None:
        callers[name] = caller
        of_user = {"url": caller.url, "base": caller.base_url, "key": caller.user.api_key}
        plan[name] = {**of_user, **does}

    for client in CLIENTS:
        add(f"{client} speaks", new_caller(), does="talk", client=client, speaks=True, turns=2)
        add(f"{client} ends", new_caller(TOKENS), does="talk", client=client, speaks=True)
    add("by a secret", new_caller(), does="talkBySecret", client="agents", text="Hi", turns=1)
    add("poor", new_caller(0), does="secret")
    shared = new_caller()
    for name, (protocols, _) in OFFERS.items():
        offered = [each.format(shared.user.api_key) for each in protocols]
        add(name, shared, does="offer", protocols=offered)
    offered = ["realtime", KEY]
    for name, origins in (("listed", [origin]), ("foreign", ["https://app.example.com"])):
        caller = new_caller(allowed_origins=origins)
        protocols = [each.format(caller.user.api_key) for each in offered]
        add(name, caller, does="offer", protocols=protocols)
    return callers, plan


@pytest.mark.parametrize("client", CLIENTS)
def test_a_spoken_conversation(visit: Visit, client: str) -> None:
    name = f"{client} speaks"
    found, caller = visit.found[name], visit.callers[name]
    was_said(found, 2)
    assert found["protocol"] == "realtime"
    assert "input_audio_buffer.speech_started" in found["kinds"]
    was_charged_as_reported(caller, found, 100_000)


@pytest.mark.parametrize("client", CLIENTS)
def test_until_the_balance_is_used_up(visit: Visit, client: str) -> None:
    name = f"{client} ends"
    was_cut_off(visit.callers[name], visit.found[name], TOKENS)


def test_a_conversation_by_a_secret(visit: Visit) -> None:
    found, caller = visit.found["by a secret"], visit.callers["by a secret"]
    was_said(found, 1)
    was_charged_as_reported(caller, found, 100_000)


def test_a_page_is_told_before_that_nothing_is_left(visit: Visit) -> None:
    assert visit.found["poor"]["status"] == 402
    assert visit.found["poor"]["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize("name", OFFERS)
def test_subprotocols(visit: Visit, name: str) -> None:
    assert visit.found[name] == OFFERS[name][1]


def test_origins(visit: Visit) -> None:
    assert visit.found["listed"] == OPENS
    assert visit.found["foreign"] == FAILS


def test_no_key_is_passed_on(visit: Visit) -> None:
    for caller in visit.callers.values():
        for session in caller.double.sessions(caller.model):
            assert caller.user.api_key not in json.dumps([session.headers, session.texts])
            assert session.subprotocols in ([], ["realtime"])
