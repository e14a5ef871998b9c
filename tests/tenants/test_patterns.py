"""Patterns of prompts: what they may take, whatever a tenant writes and its users send."""

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from server.tenants.prompts import LONGEST_MATCHED, MOST_PATTERNS
from tests.api import Api
from tests.endpoints import endpoint, text_config
from tests.processes import Server, Valkey

MOST_MB = 15
"""As docs/operate.md says."""
SLACK_MB = 10


@pytest.fixture
def one_worker(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("one") / "out"
    with Server(output, REDIS_URL=valkey.url) as server:
        yield server


def with_patterns(patterns: list[str], length: int) -> dict[str, Any]:
    """A prompt for each, which has a second variable."""
    main = endpoint("https://provider.invalid", default_model="cheap")
    prompts = {
        f"p{number}": {
            "model": "cheap",
            "messages": [{"role": "user", "content": "Hi"}],
            "variables": {"v": {"pattern": pattern, "max_length": length}, "w": {}},
        }
        for number, pattern in enumerate(patterns)
    }
    return text_config({"main": main}) | {"prompts": prompts}


@pytest.mark.parametrize("pattern", [r"\w{1,%d}", r"\w{2,3}{%d}{4}(", "a%d|x"])
def test_too_many_are_not_even_compiled(api: Api, pattern: str) -> None:
    """Which would take minutes."""
    patterns = [pattern % (300 + number) for number in range(400)]
    reply = api.put_config(with_patterns(patterns, 10))
    assert reply.status_code == 422
    assert [fault["path"] for fault in reply.json()["details"]] == ["prompts"]


def test_one_is_compiled_once_wherever_it_stands(api: Api) -> None:
    reply = api.put_config(with_patterns([r"\w{1,300}"] * 400, 10))
    assert reply.status_code == 422
    assert "too large" in reply.json()["details"][0]["message"] or reply.json()["more"]


@pytest.mark.parametrize("prompts", [5, [], {"a": 5}, {"a": {"variables": [5]}}])
def test_what_are_no_prompts_have_none(api: Api, prompts: object) -> None:
    value = with_patterns([], 10) | {"prompts": prompts}
    assert api.put_config(value).status_code == 422


def test_what_the_engine_remembers_is_bounded(one_worker: Server) -> None:
    """These have a state for nearly each text."""
    patterns = [rf"(?:.*[{chr(97 + one % 26)}].{{{40 + one // 26}}})?.*" for one in range(30)]
    assert len(patterns) == MOST_PATTERNS
    texts = random.Random(1)
    with httpx.Client(base_url=one_worker.url, timeout=10) as client:
        users = [
            Api.new_tenant(client, with_patterns(patterns, LONGEST_MATCHED)).login()
            for _ in range(2)
        ]
        before = 0
        for turn in range(8):
            for number in range(len(patterns)):
                letters = chr(97 + number % 26) + "0123"
                value = "".join(texts.choices(letters, k=LONGEST_MATCHED))
                body = {"model": f"prompt/p{number}", "variables": {"v": value}}
                reply = users[turn % 2].api.post(
                    "/v1/chat/completions", body, users[turn % 2].headers
                )
                assert reply.json()["error"]["param"] == "variables.w", "the first one is right"
                before = before or one_worker.resident()
    assert one_worker.resident() - before < (MOST_MB + SLACK_MB) * 1_000_000
