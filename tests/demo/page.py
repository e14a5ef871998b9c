"""docs/example as a site of its own, as it lies there but for the server's address."""

from aiohttp import web

from tests.doubles.in_thread import InThread
from tests.doubles.listen import Listening, listen
from tests.processes import ROOT

EXAMPLE = ROOT / "docs" / "example"
PORT = 5173
# Of its settings.js, and of README.
SERVER = "http://localhost:3000"


def policy_for(url: str) -> str:
    """The strictest under which the page works: docs/app.md has it."""
    return (
        f"default-src 'none'; script-src 'self' {url}; style-src 'self'; img-src 'self'; "
        f"connect-src {url} {url.replace('http', 'ws', 1)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


class Page(InThread):
    """Where browsers find the example, at `localhost`, while the body of `with` runs."""

    def __init__(self, port: int = PORT) -> None:
        super().__init__()
        self._port = port
        self.server = SERVER

    @property
    def address(self) -> str:
        return self.url.replace("127.0.0.1", "localhost") + "/"

    async def start(self) -> Listening:
        app = web.Application()
        self.add_routes(app)
        app.router.add_get("/{name:[a-z_.]*}", self._file)
        try:
            return await listen(app, self._port)
        except OSError:  # it is taken
            return await listen(app, 0)

    def add_routes(self, app: web.Application) -> None:
        """For who wants more than the files."""

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"] or "index.html"
        # Whoever changes a file sees it with the next load.
        headers = {"cache-control": "no-store", "content-security-policy": policy_for(self.server)}
        if name == "settings.js":
            text = (EXAMPLE / name).read_text().replace(SERVER, self.server)
            return web.Response(text=text, content_type="text/javascript", headers=headers)
        return web.FileResponse(EXAMPLE / name, headers=headers)
