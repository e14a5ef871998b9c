"""A page that has /client.js, and what a person does on it: story.js has the steps."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from tests.api import Api, config
from tests.browsers.browser import Browser
from tests.browsers.site import Site
from tests.processes import ADMIN_TOKEN, ROOT, Server, Valkey, free_port
from tests.shop.shop import group

SECONDS = 120
PAGE = "client.html"
DOCS = (ROOT / "docs" / "client.md").read_text()

Found = dict[str, Any]


class Story:
    """For one kind of browser."""

    def __init__(self, browser: str, site: Site, folder: Path, new_folder: Callable[[], Path]):
        self._browser, self._new_folder = browser, new_folder
        self.site, self.folder = site, folder

    @property
    def page(self) -> str:
        return f"{self.site.origin}/{PAGE}"

    def address(self, api: Api, *steps: str, **plan: Any) -> str:
        server = by_name(str(api.client.base_url))
        told = {"steps": steps, "server": server, "tenant": api.tenant_id, **plan}
        return f"{self.page}#{quote(orjson.dumps({**told, 'adminToken': ADMIN_TOKEN}))}"

    def open(self, address: str) -> Browser:
        """In a new profile."""
        return Browser(self._browser, self._new_folder(), address)

    def documented(self, api: Api) -> str:
        """The address of the page of docs/client.md, for this tenant."""
        (page,) = re.findall(r"```html\n(.*?)```", DOCS, re.DOTALL)
        page = page.replace("http://localhost:3000", by_name(str(api.client.base_url)))
        (self.folder / "documented.html").write_text(page.replace('"abc"', f'"{api.tenant_id}"'))
        return "/documented.html"

    def said(self) -> Any:
        """What the next page tells."""
        return self.site.found(SECONDS)

    def found(self) -> list[Found]:
        """What a tab has found with its steps, but for those that leave the page."""
        found: list[Found] = [each for each in self.said() if each is not None]
        assert all("threw" not in each for each in found), found[-1]
        assert [each["problems"] for each in found] == [[]] * len(found)
        return found


class Restarting:
    """A server at one address, which is ended and started in the middle of a story; a tenant."""

    def __init__(self, valkey: Valkey, folder: Path) -> None:
        self._settings = {"REDIS_URL": valkey.url, "PORT": str(free_port())}
        self._output = folder / "out"
        self.start()
        with httpx.Client(base_url=self._server.url) as client:
            self._tenant = Api.new_tenant(client, config(anonymous=group(100_000))).tenant_id

    @property
    def options(self) -> dict[str, str]:
        """Of `connect`."""
        return {"url": by_name(self._server.url), "tenant": self._tenant}

    def start(self) -> None:
        self._server = Server(self._output, wait=True, **self._settings)

    def stop(self) -> None:
        self._server.stop()


def by_name(url: str) -> str:
    """As another site than that of the pages."""
    return url.replace("127.0.0.1", "localhost").rstrip("/")
