"""docs/example as `make demo` runs it: a person with two tabs and two profiles."""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from tests.browsers.browser import COMMANDS, Browser
from tests.browsers.watched import Watched
from tests.demo.demo import Demo
from tests.demo.tenant import FREE, PACK, SIGNED_IN
from tests.processes import Process, eventually

SECONDS = 150
ANSWER = "This is a double"
FIRST = (
    *("arrive", "chat", "stop", "chatUntil402", "google", "back", "buyPack", "bought", "chat"),
    *("look", "talk", "outlive", "offline", "limited", "revoked", "google", "back", "signOut"),
)

Found = dict[str, Any]
Open = Callable[..., Browser]


@pytest.fixture(params=COMMANDS)
def browser(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def demo(folder: Path, tmp_path: Path) -> Iterator[Demo]:
    with Demo(tmp_path, Watched(folder), port=0) as demo:
        yield demo


@pytest.fixture
def page(demo: Demo) -> Watched:
    assert isinstance(demo.page, Watched)
    return demo.page


@pytest.fixture
def open_page(demo: Demo, browser: str, tmp_path_factory: pytest.TempPathFactory) -> Open:
    """In a new profile."""

    def open_(by: str, *steps: str, **plan: Any) -> Browser:
        home = tmp_path_factory.mktemp(browser)
        return Browser(browser, home, address(demo, by, *steps, **plan))

    return open_


def address(demo: Demo, by: str, *steps: str, **plan: Any) -> str:
    told = {"server": demo.url, "adminToken": demo.admin_token, "pack": PACK, **plan}
    return f"{demo.page.address}#{quote(orjson.dumps({'by': by, 'steps': steps, **told}))}"


def found(page: Watched, by: str) -> list[Found]:
    """What a tab has found with its steps, but for those that leave the page."""
    told: list[Found] = [each for each in page.told(by, SECONDS) if each is not None]
    assert all("threw" not in each for each in told), told[-1]
    assert [each["problems"] for each in told] == [[]] * len(told)
    assert [each.get("violations", []) for each in told] == [[]] * len(told)
    return told


def test_the_whole_story(demo: Demo, page: Watched, open_page: Open) -> None:
    watching = address(demo, "watching", "watch")
    with open_page("first", *FIRST, other=watching):
        looks = page.told("first", SECONDS)
        with open_page("other", "arrive", "google", "back", "revoked", "goOnAnew"):
            arrived, elsewhere, _, anew = found(page, "other")
        page.done("looked-first")
        restart_when_asked(demo, page)
        first = found(page, "first")
        [watched] = found(page, "watching")
    assert (anew["who"], anew["tokens"], anew["user"]) == ("New here", FREE, [])
    assert anew["question"] == "Is it still me?"
    asked_until_402(first[:4])
    bought_and_went_on(first[4:7])
    assert (arrived["who"], arrived["tokens"]) == ("New here", FREE)
    assert (elsewhere["who"], elsewhere["tokens"]) == ("Ada Lovelace", looks["tokens"])
    talked_and_outlived(*first[8:12])
    came_back_and_left(*first[12:])
    assert [each["who"] for each in watched["shown"]] == ["New here", *["Ada Lovelace"] * 2]
    assert (watched["who"], watched["user"]) == ("New here", [])


def test_what_is_said_last_is_in_view(page: Watched, open_page: Open) -> None:
    with open_page("alone", "arrive", "chatUntil402", "end"):
        found(page, "alone")


def restart_when_asked(demo: Demo, page: Watched) -> None:
    assert page.told("first", SECONDS) == "away?"
    demo.server.stop()
    page.done("away")
    assert page.told("first", SECONDS) == "back?"
    demo.start_server()
    page.done("back")


def asked_until_402(told: list[Found]) -> None:
    arrived, answered, stopped, unpaid = told
    assert (arrived["tokens"], arrived["width"]) == (FREE, 360)
    assert answered["tokens"] < FREE
    assert answered["assistant"][0].startswith(ANSWER)
    assert answered["assistant"][0].endswith("the next answer is 402.")
    assert len(stopped["assistant"][1]) < len(answered["assistant"][0])
    assert unpaid["told"].startswith("This needs more than your ")
    assert unpaid["told"].endswith("Sign in to get more.")
    assert unpaid["question"] == "And what is it for?"


def bought_and_went_on(told: list[Found]) -> None:
    back, bought, answered = told
    assert (back["tokens"], back["told"]) == (SIGNED_IN, "")
    assert (len(back["assistant"]), back["question"]) == (2, "And what is it for?"), "all is kept"
    assert bought["tokens"] == SIGNED_IN + PACK
    assert answered["tokens"] < bought["tokens"]


def talked_and_outlived(talked: Found, outlived: Found, offline: Found, limited: Found) -> None:
    assert talked["tokens"] < talked["before"]
    assert outlived["away"]["told"].startswith("There is no connection.")
    assert outlived["away"]["question"] == "Is anybody there?"
    assert outlived["assistant"][-1].startswith(ANSWER)
    assert outlived["question"] == ""
    assert offline["words"].startswith("There is no connection.")
    assert limited["words"].endswith("Try again in 20 seconds.")
    assert limited["user"][-1] == "Too much?"


def came_back_and_left(revoked: Found, back: Found, out: Found) -> None:
    assert revoked["told"].startswith("You were signed out. Sign in again")
    assert (revoked["who"], back["who"]) == ("Ada Lovelace", "Ada Lovelace")
    assert back["tokens"] == revoked["tokens"]
    assert (out["who"], out["tokens"], out["user"]) == ("New here", FREE, [])


def test_ctrl_c_ends_all_of_the_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.demo"]
    with Process(command, {"TMPDIR": str(tmp_path)}, tmp_path / "out") as demo:
        eventually(lambda: "Ctrl-C ends" in demo.text(), SECONDS)
        (page,) = re.findall(r"^Open +(\S+)$", demo.text(), re.MULTILINE)
        assert "<h1>Ask</h1>" in httpx.get(page).text
        [server] = children(demo.pid)
        all_of_it = [demo.pid, server, *children(server)]
        assert len(all_of_it) > 3, "a worker and the Valkey are among them"
        demo.send_signal(signal.SIGINT)
        assert demo.wait() == 0, demo.text()
    assert not [pid for pid in all_of_it if Path(f"/proc/{pid}").exists()]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def children(pid: int) -> list[int]:
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for each in found for child in each]
