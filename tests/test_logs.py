"""Whatever is logged is one line, and moves no cursor of who reads it."""

import json
import re
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.api import Api
from tests.endpoints import endpoint, text_config
from tests.hurried import Hurried
from tests.processes import Valkey

FORGED = "[ERROR] forged"
ODD = {
    "line feed": "a\n" + FORGED,
    "carriage return": "a\r" + FORGED,
    "both": "a\r\n" + FORGED,
    "next line": "a\x85" + FORGED,
    "line separator": "a\u2028" + FORGED,
    "paragraph separator": "a\u2029" + FORGED,
    "form feed": "a\x0c" + FORGED,
    "vertical tab": "a\x0b" + FORGED,
    "file separator": "a\x1c" + FORGED,
    "escape": "\x1b[2J\x1b[1;1H" + FORGED,
    "control sequence": "\x9b2J" + FORGED,
    "backspaces": "a" + "\b" * 20 + FORGED,
    "right to left": "a\u202e" + FORGED,
}


def check(text: str, as_json: bool) -> None:
    """All are lines of our own, for readers that split them at what Unicode calls a line's end."""
    assert "forged" in text
    for line in text.splitlines():
        assert line.isprintable()
        if as_json:
            assert {"time", "level", "message"} <= json.loads(line).keys()
        else:
            assert re.match(r"\[(INFO|WARN|ERROR)\] (?!forged)|  |Traceback", line)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_names_that_a_config_has(valkey: Valkey, tmp_path: Path, log_format: str) -> None:
    """Of configs from before names were checked; they are served as they were."""
    body = {"max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    with (
        Hurried(tmp_path / "out", valkey.url, {}, LOG_FORMAT=log_format) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        for name in ODD.values():
            api = Api.new_tenant(client)
            group = {"tokens": 100_000, "rate_limit": 9, "rate_limit_window": 9}
            value = text_config({name: endpoint("http://127.0.0.1:1")}, anonymous=group)
            valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
            reply = api.post("/v1/chat/completions", body, api.login().headers)
            assert reply.status_code == 502
        value["user_groups"][name] = None
        valkey.client.set(f"tenant:{api.tenant_id}:config", json.dumps(value))
        assert api.post("/auth/anonymous").status_code == 503
        check(server.text(), log_format == "json")
        assert server.text().count("forged") == len(ODD) + 1


def test_what_an_exception_says(valkey: Valkey, tmp_path: Path) -> None:
    """Its traceback keeps its lines, all of them indented."""
    with Hurried(tmp_path / "out", valkey.url, {}) as server:
        for detail in ODD.values():
            assert httpx.get(f"{server.url}/fail?detail={quote(detail)}").status_code == 500
        assert "\nTraceback (most recent call last):\n" in server.text()
        assert f"\n  RuntimeError: a\n  {FORGED}\n" in server.text()
        check(server.text(), as_json=False)
