"""What the ACL user of our connections must be allowed, tried at the start: a script that is denied
a command half-way may have written already."""

from typing import Any
from uuid import uuid4

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AskError, NoPermissionError, TryAgainError

from server.store.command import Script

PATTERNS = (
    *("user:*", "{user:*", "apiKey:*", "clientSecret:*", "tenant:*", "{tenant:*"),
    "{calls}:*",
)
"""Of all keys that there are."""

# Of a Cluster's node, one key of as many as it has a part in.
_MOST_TRIES = 1_000
_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("PING",),
    ("INFO", "memory"),
    ("DBSIZE",),
    ("SCAN", "0", "COUNT", "1"),
    ("EVAL", "return 1", "0"),
    *(("GET", pattern.replace("*", "probe}")) for pattern in PATTERNS),
)


async def denied(connection: AbstractConnection, probe: Script) -> list[str]:
    """What the user of this connection lacks, as ACL rules: `+hset`, `~user:*`.

    Raises OSError and RedisError.
    """
    found = []
    # All at once: the start has no longer for them than a request, however far away Redis is.
    for command in _COMMANDS:
        await connection.send_command(*command)
    for command in _COMMANDS:
        try:
            await connection.read_response()
        except NoPermissionError as error:
            found += [f"~{command[1]}" if "access" in str(error) else command[0]]
        except (AskError, TryAgainError):
            pass  # the key is another node's, which is asked later than the rights
    try:
        found += await _run(connection, probe)
    except NoPermissionError as error:
        if "access" not in str(error):  # which is known by now
            found += ["EVALSHA"]
    return list(dict.fromkeys(_rule(what) for what in found))


async def _run(connection: AbstractConnection, probe: Script) -> list[str]:
    for _ in range(_MOST_TRIES):
        user = f"user:probe-{uuid4()}"
        names = (user, *(f"{{{user}}}:{kind}" for kind in ("list", "hash", "zset")))
        try:
            _, names_of_denied = await _ask(
                connection, "EVALSHA", probe.sha1, str(len(names)), *names
            )
        except (AskError, TryAgainError):
            continue
        return [name.decode() for name in names_of_denied]
    return []  # a node without slots, or nearly


async def _ask(connection: AbstractConnection, *command: str) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


def _rule(what: str) -> str:
    for pattern in PATTERNS:
        if what.removeprefix("~").startswith(pattern.removesuffix("*")):
            return f"~{pattern}"
    return f"+{what.lower()}"
