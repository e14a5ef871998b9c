"""localstripe, a Stripe that others have made, as a process; and its answers as of today."""

from pathlib import Path
from typing import Any

import aiohttp
import httpx
from aiohttp import web

from tests.doubles.in_thread import AppInThread
from tests.own_python import environment
from tests.processes import START_SECONDS, Process, eventually, free_port

_LOCK = Path(__file__).parent / "localstripe.txt"
_ABSENT = {"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}


class Localstripe(Process):
    """Of one account, whatever the API key."""

    def __init__(self, output: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        program = str(environment(_LOCK) / "localstripe")
        super().__init__([program, "--from-scratch", "--port", str(port)], {}, output)
        self._client = httpx.Client(base_url=self.url, auth=("sk_test_any", ""))
        eventually(lambda: self.popen.poll() is not None or self._answers(), START_SECONDS)
        assert self.popen.poll() is None, self.text()

    def ask(self, path: str, **fields: Any) -> Any:
        """POST; `fields` as of a form, with __ for what is within another."""
        form = {_nested(name): value for name, value in fields.items()}
        reply = self._client.post(path, data=form)
        assert reply.status_code == 200, reply.text
        return reply.json() if reply.content else None

    def get(self, path: str) -> Any:
        return self._client.get(path).json()

    def delete(self, path: str) -> None:
        assert self._client.delete(path).status_code == 200

    def _answers(self) -> bool:
        try:
            return self._client.get("/v1/plans").status_code == 200
        except httpx.TransportError:
            return False


def _nested(name: str) -> str:
    first, *rest = name.split("__")
    return first + "".join(f"[{part}]" for part in rest)


class Today(AppInThread):
    """In front of it: its API is of 2017, has plans where there are prices now, and says neither
    why an invoice was made, nor of its payments. Nothing else is changed."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._behind = url

    def make_app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/invoice_payments", self._payments)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        return app

    async def _pass_on(self, request: web.Request) -> web.Response:
        status, body = await self._ask(request, request.path)
        return web.json_response(_of_today(body), status=status)

    async def _payments(self, request: web.Request) -> web.Response:
        _, invoices = await self._ask(request, "/v1/invoices", keep_query=False)
        intent = request.query["payment[payment_intent]"]
        found = [
            {"object": "invoice_payment", "invoice": each["id"]}
            for each in invoices["data"]
            if (each["charge"] or {}).get("payment_intent") == intent
        ]
        return web.json_response({"object": "list", "data": found})

    async def _ask(
        self, request: web.Request, path: str, keep_query: bool = True
    ) -> tuple[int, Any]:
        query = dict(request.query) if keep_query else {"limit": "100"}
        if path == "/v1/invoices":
            query.pop("status", None)
        headers = {"Authorization": request.headers["Authorization"]}
        if "Content-Type" in request.headers:
            headers["Content-Type"] = request.headers["Content-Type"]
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                self._behind + path,
                params=query,
                data=await request.read(),
                headers=headers,
            ) as response,
        ):
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else _ABSENT


def _of_today(body: Any) -> Any:
    if isinstance(body, list):
        return [_of_today(each) for each in body]
    if not isinstance(body, dict):
        return body
    found = {name: _of_today(value) for name, value in body.items()}
    if found.get("object") in ("subscription_item", "line_item"):
        plan = found["plan"]
        found["price"] = {"id": plan["id"], "object": "price", "lookup_key": plan["id"]}
    if found.get("object") == "invoice" and found.get("billing_reason", "") is None:
        found["billing_reason"] = "subscription_create"
    return found
