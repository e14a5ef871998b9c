"""The server: handshakes, and the sessions that run."""

import asyncio
import socket
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request
from websockets.http11 import Response as Answer

from tests.doubles.listen import SEND_BUFFER, Listening
from tests.doubles.realtime.record import Script, Session
from tests.doubles.realtime.service import ENDS, End, Service
from tests.doubles.realtime.talking import Talking
from tests.doubles.realtime.wire import (
    answer,
    chosen,
    has_credential,
    is_beta,
    offered_by,
    reset,
)

LARGEST_MESSAGE = 32 * 1024 * 1024
PATH = "/v1/realtime"


class Realtime:
    """All sessions of one double, in its thread."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._services: dict[ServerConnection, Service] = {}
        self.talking: defaultdict[str, list[Talking]] = defaultdict(list)
        self.released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def listen(self, port: int) -> Listening:
        """As Listen says."""
        listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        server = await serve(
            self._talk,
            sock=listener,
            process_request=self._answer,
            select_subprotocol=chosen,
            max_size=LARGEST_MESSAGE,
            close_timeout=1,
        )

        async def end() -> None:
            server.close()
            await server.wait_closed()

        return f"http://127.0.0.1:{listener.getsockname()[1]}", end

    async def _answer(self, connection: ServerConnection, request: Request) -> Answer | None:
        """None: the handshake goes on."""
        service = self._script.take(_key_of(request.path))
        await asyncio.sleep(service.delay)
        if service.reset:
            reset(connection)
            return answer(500, {})
        if service.redirect:
            return answer(302, {"location": service.redirect, **service.headers})
        if service.status != 101:
            return answer(service.status, dict(service.headers))
        if urlsplit(request.path).path != PATH:
            return answer(404, {})
        self._services[connection] = service
        return None

    async def _talk(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None
        service = self._services.pop(connection)
        key = _key_of(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        record = Session(key, request.path, headers, offered_by(request))
        self._script.record(record)
        if refusal := _refusal(request):
            service = Service(refusal=refusal)
        talking = Talking(connection, service, record, self.released[key])
        self.talking[key].append(talking)
        try:
            await talking.run()
        finally:
            self.talking[key].remove(talking)


def _key_of(path: str) -> str:
    return parse_qs(urlsplit(path).query).get("model", [""])[0]


def _refusal(request: Request) -> End | None:
    """What OpenAI says after the handshake."""
    if not has_credential(request):
        return ENDS["invalid_api_key"]
    if is_beta(request):
        return ENDS["beta_api_shape_disabled"]
    return None if _key_of(request.path) else ENDS["missing_model"]
