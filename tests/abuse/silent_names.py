"""Names whose DNS is silent: who looks them up waits, and nobody else may."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import redis

from tests.abuse.attackers import RICH, UNDER_WAY, Attack, Victim, at_once
from tests.abuse.heavy_requests import CHAT
from tests.api import ADMIN
from tests.endpoints import endpoint, text_config

PATCHED = Path(__file__).parent / "silent"
"""What PYTHONPATH has to lead to."""
NAMES = 40
NAMES_OF_A_CONFIG = 400
RETURN_SECONDS = 3
"""In which a lost Redis is back."""


def _config(count: int) -> dict[str, Any]:
    endpoints = {
        f"e{number}": endpoint(f"http://{number}.silent.example", default_model=f"m{number}")
        for number in range(count)
    }
    return text_config(endpoints, anonymous=RICH)


def _lose_redis(victim: Victim) -> None:
    """Its name has to be looked up, too; the honest begin when it was."""
    client = redis.Redis.from_url(victim.redis_url)
    client.client_kill_filter(_type="normal")
    time.sleep(RETURN_SECONDS)
    victim.saw(UNDER_WAY)


def _calls(victim: Victim) -> None:
    """Users call all of them, again and again."""
    tenant_id = victim.put_tenant(_config(NAMES))
    key = victim.log_in(tenant_id)
    numbers = iter(range(10**9))

    def call() -> None:
        name = next(numbers) % NAMES
        body = b'{"model":"m%d","messages":[{"role":"user","content":"Hi"}]}' % name
        victim.post(f"/{tenant_id}{CHAT}", key, body)

    threading.Thread(target=at_once, args=(20, call)).start()
    _lose_redis(victim)


def _configs(victim: Victim) -> None:
    """A tenant stores ever new ones."""
    tenant_id = victim.put_tenant()
    value = {"config": _config(NAMES_OF_A_CONFIG)}

    def put() -> None:
        reply = httpx.put(
            f"{victim.url}/{tenant_id}/admin/config", json=value, headers=ADMIN, timeout=60
        )
        victim.saw(reply.status_code)

    at_once(2, put)


ATTACKS = [Attack("calls_of_dead_names", _calls), Attack("configs_of_dead_names", _configs)]
