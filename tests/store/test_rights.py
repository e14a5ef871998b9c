"""The start ends where the ACL user of Redis lacks what the scripts need, and names it."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.store.rights import PATTERNS
from server.store.store import Store
from tests.processes import ROOT, Server, Valkey
from tests.redis_link import RedisLink

README = (ROOT / "README.md").read_text()
LUA = ROOT / "lua"
SCRIPTS = {str(path.relative_to(LUA)): path.read_text() for path in LUA.rglob("*.lua")}
PROBE = SCRIPTS["probe.lua"]
CALL = r"\b(?:redis\.p)?call"
# For Sentinel and Cluster, for a database in the URL, and for what connecting needs: whoever lacks
# them is told by Redis itself.
NOT_TRIED = {"role", "cluster|slots", "select", "script|load"}
TRIED_APART = {"evalsha", "eval", "info", "dbsize", "scan", "ping"}


def of_readme(pattern: str) -> list[str]:
    sentence = README.split("An ACL user needs", 1)[1].split(".\n", 1)[0]
    return re.findall(pattern, sentence)


COMMANDS = of_readme(r"\+([\w|]+)")


def of_script(text: str, call: str) -> set[str]:
    return {name.lower() for name in re.findall(rf"{call}\('([A-Z]+)'", text)}


def test_the_probe_tries_what_the_scripts_run() -> None:
    run = {name: of_script(text, CALL) for name, text in SCRIPTS.items() if name != "probe.lua"}
    tried = of_script(PROBE, "try")
    assert set().union(*run.values()) == tried
    # A command in a variable would be overlooked.
    calls = sum(len(re.findall(rf"{CALL}\(", text)) for text in SCRIPTS.values())
    named = sum(len(re.findall(rf"{CALL}\('[A-Z]+'", text)) for text in SCRIPTS.values())
    assert calls == named + 1  # the probe's own


def test_the_readme_lists_what_is_tried() -> None:
    assert set(COMMANDS) == of_script(PROBE, "try") | TRIED_APART | NOT_TRIED
    assert of_readme(r"~[{}\w:]+\*") == [f"~{pattern}" for pattern in PATTERNS]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("rights")) as valkey:
        yield valkey


def url_without(own: Valkey, *denied: str) -> str:
    """Of a user who has what the README says but for this."""
    rules = [*(f"+{name}" for name in COMMANDS), *(f"~{pattern}" for pattern in PATTERNS)]
    left = [rule for rule in rules if rule not in denied]
    own.client.execute_command("ACL", "SETUSER", "vibe", "reset", "on", ">secret", "-@all", *left)
    return f"redis://vibe:secret@127.0.0.1:{own.port}"


TRIED = [f"+{name}" for name in COMMANDS if name not in NOT_TRIED] + [f"~{one}" for one in PATTERNS]


@pytest.mark.parametrize("lacking", TRIED)
async def test_what_is_denied_is_named(own: Valkey, lacking: str) -> None:
    with pytest.raises(ValueError, match=r"lacks (\S+)$") as refused:
        await Store(url_without(own, lacking), 5).check()
    assert str(refused.value).split()[-1] == lacking
    left = [own.client.pttl(name) for name in own.client.scan_iter()]
    own.client.flushall()
    assert -1 not in left, "what stays, expires"


async def test_all_that_is_denied_is_named(own: Valkey) -> None:
    denied = ("+hset", "+ltrim", "~apiKey:*")
    with pytest.raises(ValueError, match="lacks") as refused:
        await Store(url_without(own, *denied), 5).check()
    assert set(str(refused.value).partition("lacks ")[2].split()) == set(denied)


async def test_who_has_all_of_it_may_start_and_leaves_nothing(own: Valkey) -> None:
    await Store(url_without(own), 5).check()
    assert own.client.dbsize() == 0


async def test_a_full_redis_is_no_reason_not_to_start(own: Valkey) -> None:
    url = url_without(own)
    own.client.config_set("maxmemory", "1")
    try:
        await Store(url, 5).check()
    finally:
        own.client.config_set("maxmemory", "0")


class FarAway(RedisLink):
    def _send_in_turn(self, portion: bytes, target: socket.socket) -> None:
        time.sleep(0.2)
        super()._send_in_turn(portion, target)


async def test_a_redis_far_away_is_no_reason_not_to_start(own: Valkey) -> None:
    with FarAway(own) as link:
        await Store(link.redis_url, 3).check()


def test_the_start_ends_with_one_line(own: Valkey, tmp_path: Path) -> None:
    url = url_without(own, "+ltrim")
    with Server(tmp_path / "out", wait=False, REDIS_URL=url) as server:
        assert server.wait() == 1
    assert server.text() == "[ERROR] Redis: the ACL user lacks +ltrim\n"
