"""Redis: strangers must not fill it, and configs of other tenants must not fill a worker."""

from functools import partial
from itertools import cycle

import orjson
import redis

from tests.abuse.attackers import RICH, Attack, Victim, at_once
from tests.endpoints import endpoint, text_config

FILLED = 0.78
"""Of maxmemory, before the attack: as if it had gone on for long."""
CONFIGS = 300


def _fill(victim: Victim) -> None:
    client = redis.Redis.from_url(victim.redis_url)
    memory = client.info("memory")
    needed = int(memory["maxmemory"] * FILLED) - memory["used_memory"]
    client.setrange("filler", max(needed, 0), "x")


def _logins(tenants: int, victim: Victim) -> None:
    """In a row on some connections."""
    _fill(victim)
    names = cycle([victim.put_tenant() for _ in range(tenants)])

    def log_in() -> bytes:
        return f"POST /{next(names)}/auth/anonymous HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    at_once(8, partial(victim.send_in_a_row, log_in))


def _configs(victim: Victim) -> None:
    """One request after the other, each for another tenant of 64 KiB."""
    client = redis.Redis.from_url(victim.redis_url)
    one = endpoint("https://provider.example", default_model="m" * 20)
    count = 64 * 1024 // (len(orjson.dumps(one)) + 12) - 5
    endpoints = {f"e{number}": one for number in range(count)}
    text = orjson.dumps(text_config(endpoints, anonymous=RICH))
    names = [f"large-{number}" for number in range(CONFIGS)]
    for name in names:
        client.set(f"tenant:{name}:config", text)
    turn = cycle(names)

    def ask() -> bytes:
        head = f"GET /{next(turn)}/balance HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\n\r\n"
        return head.encode()

    at_once(1, partial(victim.send_in_a_row, ask))


LOGINS = [
    Attack("logins", partial(_logins, 1)),
    Attack("logins_of_many_tenants", partial(_logins, 50)),
]
CONFIGS_OF_OTHERS = [Attack("large_configs", _configs, True)]
