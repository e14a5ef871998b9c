"""How full a Redis is, for tests of what happens before it is."""

import redis

FILLER_BYTES = 16 * 1024 * 1024
"""So much is used that what comes and goes beside it, such as buffers of clients and of replicas,
makes no difference."""

REFUSED = "of its maxmemory: logins are refused"
"""The line in a server's log."""


def fill(primary: "redis.Redis") -> None:
    for number in range(100):
        try:
            primary.setrange(f"filler-{number}", FILLER_BYTES, "x")
        except redis.ResponseError:  # of a cluster, another primary has that key
            continue
        return
    raise AssertionError("it has no key")


def use(primary: "redis.Redis", percent: float) -> None:
    """Has it use this share of its maxmemory."""
    used = int(primary.info("memory")["used_memory"])
    primary.config_set("maxmemory", int(100 * used / percent))
