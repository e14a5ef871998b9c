"""Demo: all that `make demo` runs."""

import secrets
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.demo import tenant
from tests.demo.page import Page
from tests.doubles.__main__ import start as start_chats
from tests.doubles.in_thread import InThread
from tests.doubles.listen import Listen, Listening
from tests.doubles.realtime.__main__ import start as start_voices
from tests.doubles.sign_in import SignInDouble
from tests.doubles.stripe_api import StripeDouble
from tests.doubles.ultravox.__main__ import start as start_calls
from tests.processes import Server, free_port

PORT = 3000


class _Started(InThread):
    """A double that has a command."""

    def __init__(self, start: Listen) -> None:
        super().__init__()
        self._start = start

    async def start(self) -> Listening:
        return await self._start(0)


class Demo:
    """While the body of `with` runs; the server's data and output are in `folder`. `port` and the
    page's are others where they are taken."""

    def __init__(self, folder: Path, page: Page | None = None, port: int = PORT) -> None:
        self._folder = folder
        self.page = page or Page()
        self.port = port if port and _is_free(port) else free_port()
        self.admin_token = secrets.token_urlsafe(24)
        self.sign_in, self.stripe = SignInDouble(), StripeDouble()
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def told(self) -> dict[str, str]:
        return {
            "page": self.page.address,
            "server": self.url,
            "tenant": tenant.TENANT,
            "admin_token": self.admin_token,
            "log": str(self.server.output),
        }

    def start_server(self) -> None:
        settings = {
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "ADMIN_TOKEN": self.admin_token,
            "STRIPE_URL": self.stripe.url,
            "WORKERS": "1",
            # Everybody here is one address.
            "ANONYMOUS_LOGINS_PER_HOUR": "0",
            **self.sign_in.settings,
        }
        data = str(self._folder / "data")
        output = self._folder / "log"
        self.server = Server(output, "--embedded", "--data", data, wait=True, **settings)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            started = {"chats": start_chats, "voices": start_voices, "calls": start_calls}
            doubles = {name: _Started(start) for name, start in started.items()}
            for each in (self.sign_in, self.stripe, *doubles.values(), self.page):
                stack.enter_context(each)
            self.page.server = self.url
            tenant.people(self.sign_in)
            price = tenant.goods(self.stripe, self.url)
            self.start_server()
            stack.callback(lambda: self.server.stop())
            urls = {name: each.url for name, each in doubles.items()}
            config = tenant.config_of(self.page.address, urls, price)
            tenant.store(self.url, self.admin_token, config)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False
