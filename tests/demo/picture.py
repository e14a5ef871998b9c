"""Draws docs/example.png: the demo's page in Chromium, with a question that was answered.

Usage: python -m tests.demo.picture
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from aiohttp import web

from tests.demo.demo import Demo
from tests.demo.page import EXAMPLE, Page, policy_for
from tests.processes import ROOT

PICTURE = ROOT / "docs" / "example.png"
SIZE = "480,600"
SECONDS = 60
# Chromium draws the page when it is loaded, which it is not before this image is there: and that
# comes when the page has asked for the other one.
_WAITS = '<img hidden alt="" src="drawn.svg"><script type="module" src="asks.js"></script></body>'
_ASKS = """
const element = (id) => document.getElementById(id);
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
};
await until(() => !element("shop").hidden);
const before = element("balance").value;
element("question").value = "What is a double?";
element("form").requestSubmit();
await until(() => !element("send").disabled && element("balance").value !== before);
new Image().src = "answered.svg";
"""


class _Asking(Page):
    def add_routes(self, app: web.Application) -> None:
        self._answered = asyncio.Event()
        app.router.add_get("/", self._index)
        app.router.add_get("/asks.js", self._asks)
        app.router.add_get("/drawn.svg", self._wait)
        app.router.add_get("/answered.svg", self._go_on)

    async def _index(self, _: web.Request) -> web.Response:
        text = (EXAMPLE / "index.html").read_text().replace("</body>", _WAITS)
        headers = {"content-security-policy": policy_for(self.server)}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _asks(self, _: web.Request) -> web.Response:
        return web.Response(text=_ASKS, content_type="text/javascript")

    async def _wait(self, _: web.Request) -> web.Response:
        await self._answered.wait()
        return web.Response()

    async def _go_on(self, _: web.Request) -> web.Response:
        self._answered.set()
        return web.Response()


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        Demo(Path(folder), _Asking(port=0), port=0) as demo,
    ):
        command = [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={folder}/profile"),
            *(f"--window-size={SIZE}", f"--screenshot={PICTURE}", demo.page.address),
        ]
        subprocess.run(command, check=True, timeout=SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
