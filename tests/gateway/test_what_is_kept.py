"""What calls leave in Redis of a user: no more however many there are."""

import httpx

from tests.api import Api
from tests.doubles import Double
from tests.endpoints import endpoint, text_config
from tests.gateway.asking import ask
from tests.metering.test_sizes import memory, sizes
from tests.processes import Valkey
from tests.stored import ledger_key, user_key


def test_calls_leave_no_replies(client: httpx.Client, valkey: Valkey, double: Double) -> None:
    group = {"tokens": 10**6, "rate_limit": 10_000, "rate_limit_window": 60}
    user = Api.new_tenant(client, text_config({"a": endpoint(double.url)}, anonymous=group)).login()
    for _ in range(60):
        assert ask(user, "Hi").status_code == 200
    names = {"user:<id>", "{user:<id>}:ledger", "{user:<id>}:rate", f"apiKey:{user.api_key}"}
    assert set(sizes(valkey, user)) == names
    assert memory(valkey, user_key(user)) < 1_000
    assert valkey.client.llen(ledger_key(user)) == 50
