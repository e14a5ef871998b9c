"""The example with a person on it, who does what example.js has, and tells it."""

import queue
from collections import defaultdict
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.demo.page import EXAMPLE, Page, policy_for

_APP = '<script type="module" src="app.js"></script>'
_PERSON = """<script src="person/node_modules/axe-core/axe.min.js"></script>
<script type="module" src="person/example.js"></script>"""


class Watched(Page):
    """`folder` has this person's files, and npm's packages."""

    def __init__(self, folder: Path) -> None:
        super().__init__(port=0)
        self._folder = folder
        self._told: defaultdict[str, queue.Queue[Any]] = defaultdict(queue.Queue)
        self._done: set[str] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/", self._index)
        app.router.add_static("/person", self._folder)
        app.router.add_post("/told/{by}", self._take)
        app.router.add_get("/done/{what}", self._say)

    def told(self, by: str, seconds: float) -> Any:
        """What the next page of this person tells. Raises queue.Empty if none does in time."""
        return self._told[by].get(timeout=seconds)

    def done(self, what: str) -> None:
        """Those that wait for it go on."""
        self._done.add(what)

    async def _index(self, _: web.Request) -> web.Response:
        text = (EXAMPLE / "index.html").read_text()
        assert _APP in text
        policy = policy_for(self.server).replace(
            "connect-src", "frame-src 'self'; connect-src 'self'"
        )
        return web.Response(
            text=text.replace(_APP, _PERSON + _APP),
            content_type="text/html",
            headers={"content-security-policy": policy, "cache-control": "no-store"},
        )

    async def _take(self, request: web.Request) -> web.Response:
        self._told[request.match_info["by"]].put(await request.json())
        return web.Response()

    async def _say(self, request: web.Request) -> web.Response:
        return web.json_response(request.match_info["what"] in self._done)
