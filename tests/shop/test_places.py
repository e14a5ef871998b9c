"""More questions to Stripe at a time than a worker has places for."""

import asyncio
import json
import socket
import time
from itertools import islice
from pathlib import Path

import httpx

from server.places import MOST_CALLS
from tests.api import Api, config
from tests.descriptors import many_descriptors
from tests.doubles.stripe_api.delivery import signature
from tests.hurried import Hurried
from tests.processes import Valkey

OF_A_TENANT = MOST_CALLS * 8 // 9
MORE = 20
SECRET = "whsec_of_the_tenant"
EVENT = {
    "type": "invoice.paid",
    "livemode": False,
    "data": {"object": {"object": "invoice", "customer": "cus_1"}},
}


async def _send(url: str, tenant_id: str) -> list[httpx.Response]:
    """The replies to those that are not waited for."""
    body = json.dumps(EVENT).encode()
    headers = {"Stripe-Signature": signature(body, [SECRET], int(time.time()))}
    number = OF_A_TENANT + MORE
    limits = httpx.Limits(max_connections=number)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        path = f"/{tenant_id}/stripe/webhook"
        sending = [
            asyncio.create_task(client.post(path, content=body, headers=headers))
            for _ in range(number)
        ]
        replies = [await reply for reply in islice(asyncio.as_completed(sending), MORE)]
        assert sum(not task.done() for task in sending) == OF_A_TENANT
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    return replies


def test_a_silent_stripe_does_not_take_all_places(valkey: Valkey, tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=MOST_CALLS) as silent,
        many_descriptors(3 * MOST_CALLS),
        Hurried(
            tmp_path / "out",
            valkey.url,
            {"stripe": 60.0},
            STRIPE_URL=f"http://127.0.0.1:{silent.getsockname()[1]}",
        ) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        sold = {"auth": {"stripe": {"api_key": "sk_test_1", "webhook_secret": SECRET}}}
        api = Api.new_tenant(client, config() | sold)
        replies = asyncio.run(_send(server.url, api.tenant_id))
        assert {(reply.status_code, reply.headers["retry-after"]) for reply in replies} == {
            (503, "1")
        }
    assert "Traceback" not in server.text(), server.text()
