"""The page of docs/sign-in.md as it is there, of another site than the server, with the double of
Google and Apple: one person with two browsers."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import orjson
import pytest

from tests.api import Api
from tests.browsers.browser import COMMANDS, Browser
from tests.browsers.site import Site
from tests.doubles.sign_in import SignInDouble
from tests.processes import ROOT, Server

SECONDS = 60
DOCS = (ROOT / "docs" / "sign-in.md").read_text()
PAGE = "sign_in.html"

Found = dict[str, Any]


class App:
    """The page, of a tenant of its own, for one kind of browser."""

    def __init__(self, site: Site, api: Api, new_folder: Callable[[], Path], browser: str) -> None:
        self._site, self._new_folder, self._browser = site, new_folder, browser
        self.api = api

    def visit(self, *steps: str) -> list[Found]:
        """What a new browser finds after each of these steps, but those that leave the page;
        sign_in.js has them."""
        plan = quote(orjson.dumps({"url": url_of(self.api), "steps": steps}))
        with Browser(self._browser, self._new_folder(), f"{self._site.origin}/{PAGE}#{plan}"):
            found: list[Found | None] = self._site.found(SECONDS)
        assert len(found) == len(steps), found[-1]
        return [each for each in found if each is not None]


@pytest.fixture(params=COMMANDS)
def app(
    request: pytest.FixtureRequest,
    folder: Path,
    selling: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[App]:
    with Site(folder) as site, httpx.Client(base_url=selling.url, timeout=20) as client:
        (folder / PAGE).write_text(the_page(api := Api.new_tenant(client, config_of(site))))
        yield App(site, api, lambda: tmp_path_factory.mktemp(request.param), request.param)


def config_of(site: Site) -> dict[str, Any]:
    """Of the docs, for this page."""
    (text,) = re.findall(r"'\n *(\{\"config\".*?)'\n", DOCS, re.DOTALL)
    found: dict[str, Any] = orjson.loads(text)["config"]
    found["auth"]["redirect_uris"] = [f"{site.origin}/{PAGE}"]
    return found


def url_of(api: Api) -> str:
    return f"{api.client.base_url}/{api.tenant_id}".replace("127.0.0.1", "localhost")


def the_page(api: Api) -> str:
    """Of the docs, for this tenant, and with a person on it."""
    (page,) = re.findall(r"```html\n(.*?)```", DOCS, re.DOTALL)
    page = page.replace("http://localhost:3000/abc", url_of(api))
    return str(page).replace("</html>", '<script type="module" src="sign_in.js"></script></html>')


def test_one_person_with_two_browsers(app: App, double: SignInDouble) -> None:
    double.google.do("person", sub=uuid4().hex, name="Ada Lovelace")
    arrived, spent, back = app.visit("arrive", "spend", "google", "back")
    assert (arrived["group"], arrived["tokensLeft"]) == ("anonymous", 100)
    assert spent["tokensLeft"] == 95
    assert (back["userId"], back["key"]) == (arrived["userId"], arrived["key"])
    assert (back["group"], back["tokensLeft"]) == ("google_logged_in", 1_000)
    assert back["who"] == "Ada Lovelace, 1000 tokens"

    way = ("arrive", "google", "back", "spend", "out", "google", "back", "delete", "google", "back")
    arrived, other, spent, out, again, deleted, anew = app.visit(*way)
    assert arrived["userId"] != back["userId"]
    assert (other["userId"], other["tokensLeft"]) == (back["userId"], 1_000)
    assert other["key"].startswith("key_")
    assert spent["tokensLeft"] == 995
    assert (out["ended"], out["endedStatus"]) == (other["key"], 401)
    assert out["userId"] not in (back["userId"], arrived["userId"])
    assert (again["userId"], again["tokensLeft"]) == (back["userId"], 995)
    assert (deleted["ended"], deleted["endedStatus"]) == (again["key"], 401)
    of_first = {"Authorization": f"Bearer {back['key']}"}
    assert app.api.get("/balance", of_first).status_code == 401
    # Who comes again is somebody new, and has had the free tokens of who signs in.
    assert anew["userId"] == deleted["userId"]
    assert (anew["group"], anew["tokensLeft"]) == ("google_logged_in", 100)
    for found in (back, other, again, anew):
        assert_nothing_is_left_on_the_way(found)


def assert_nothing_is_left_on_the_way(found: Found) -> None:
    assert "code=" in found["sentTo"]
    assert found["key"] not in found["sentTo"]
    assert found["address"].endswith(f"/{PAGE}")
    assert "code" not in found["referrer"]
    assert found["cookie"] == ""


def test_apple_and_its_form(app: App, double: SignInDouble) -> None:
    person = {"sub": f"001.{uuid4().hex}", "email": "g@privaterelay.appleid.com"}
    double.apple.do("person", name="Grace Hopper", **person)
    arrived, back = app.visit("arrive", "apple", "back")
    assert (back["userId"], back["group"]) == (arrived["userId"], "google_logged_in")
    assert_nothing_is_left_on_the_way(back)
    _, other = app.visit("arrive", "apple", "back")
    assert other["userId"] == back["userId"]
    assert other["who"] == back["who"] == "Grace Hopper, 1000 tokens", "Apple has told it once"


def test_who_does_not_agree(app: App, double: SignInDouble) -> None:
    for operator, button in ((double.google, "google"), (double.apple, "apple")):
        operator.do("person", denies=True)
        arrived, back = app.visit("arrive", button, "back")
        assert back["problem"] == "Not signed in: access_denied"
        assert (back["userId"], back["tokensLeft"]) == (arrived["userId"], 100)
