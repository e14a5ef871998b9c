"""How it starts, and how it refuses to: one line, an exit status, nothing that listens."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from server.process.embedded import binary
from server.settings import Settings
from tests.api import ADMIN
from tests.processes import Process, Server, Valkey, eventually, free_port

NOBODY = "redis://127.0.0.1:1"

BAD_VALUES = {
    "PORT": "http",
    "REALTIME_SESSIONS": "-1",
    "HOST": "a" * 64 + ".test",
    "REDIS_URL": "http://localhost",
    "REDIS_TIMEOUT": "nan",
    "WORKERS": "0",
    "ADMIN_TOKEN": "two words",
    "LOG_LEVEL": "loud",
    "LOG_FORMAT": "xml",
    "DRAIN_SECONDS": "-1",
    "GRACE_SECONDS": "soon",
    "USER_TTL_DAYS": "0.5",
    "LEDGER_ENTRIES": "0",
    "ANONYMOUS_LOGINS_PER_MINUTE": "-1",
    "ANONYMOUS_LOGINS_PER_HOUR": "1.5",
    "LOGINS_PER_MINUTE": "-1",
    "LOGINS_MEMORY_SHARE": "101",
    "PROXIES_COUNT": "many",
    "FORWARDED_SECRET": "a\tb",
    "METRICS_PORT": "65536",
    "ALLOW_PRIVATE_UPSTREAMS": "perhaps",
    "PUBLIC_URL": "http://app.example.com",
    "GOOGLE_URL": "http://localhost:4000",
    "APPLE_URL": "appleid.apple.com",
    "TURNSTILE_URL": "https://user@turnstile.example/siteverify",
    "HCAPTCHA_URL": "https://hcaptcha.example/siteverify?a=b",
    "RECAPTCHA_URL": "https://recaptcha.example/site verify",
    "STRIPE_URL": "http://localhost:4000",
}

# One start after the other, in a process: most of the time of each would be the imports.
START_WITH_EACH = """
import json, os, sys
from server.__main__ import main
given = dict(os.environ)
for settings in json.loads(sys.argv.pop()):
    os.environ.clear()
    os.environ.update(given | settings)
    print(main(), flush=True)
"""

# The supervisor then does nothing but to tell.
WHETHER_IT_COLLECTS = """
import gc
from server.__main__ import main
from server.process.supervisor import Supervisor
Supervisor.run = lambda _: print(gc.isenabled())
main()
"""

Fails = Callable[..., tuple[int, str]]


@pytest.fixture
def fails(tmp_path: Path) -> Fails:
    """Starts a server that cannot start; its exit status and the one line that it wrote."""

    def start(*arguments: str, **settings: str) -> tuple[int, str]:
        output = tmp_path / f"out-{os.urandom(4).hex()}"
        with Server(output, *arguments, wait=False, **settings) as server:
            status = server.wait(20)
            lines = server.text().splitlines()
            assert len(lines) == 1, server.text()
            return status, lines[0]

    return start


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A Redis that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    return f"redis://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("workers", ["1", "4"])
def test_no_redis(fails: Fails, workers: str) -> None:
    status, line = fails(REDIS_URL=NOBODY, WORKERS=workers)
    assert status == 1
    assert line.startswith("[ERROR] Redis connection failed: Error 111 connecting to 127.0.0.1:1.")


def test_a_redis_that_never_answers(silent: socket.socket, tmp_path: Path) -> None:
    port = free_port()
    settings = {"REDIS_URL": url_of(silent), "PORT": str(port), "WORKERS": "4"}
    with Server(tmp_path / "out", wait=False, **settings) as server:
        while server.popen.poll() is None:
            with closing(socket.socket()) as client:
                assert client.connect_ex(("127.0.0.1", port)) != 0, "it listens"
        assert server.wait() == 1
        assert server.text() == "[ERROR] Redis connection failed: Timeout connecting to server\n"


@pytest.mark.parametrize(
    ("address", "status", "begin"),
    [
        ("no-such-host.invalid", 1, "[ERROR] Redis connection failed: "),
        ("a..b", 1, "[ERROR] Redis connection failed: "),
        ("127.0.0.1:1/x?bad=1", 2, "[ERROR] REDIS_URL: "),
    ],
)
def test_a_redis_that_cannot_be_found(fails: Fails, address: str, status: int, begin: str) -> None:
    found, line = fails(REDIS_URL=f"redis://{address}")
    assert (found, line.startswith(begin)) == (status, True), line


def test_a_sentinel_that_names_a_replica(fails: Fails, tmp_path: Path) -> None:
    """As it may for a while after a fail-over: what is written there is lost."""
    port, config = free_port(), tmp_path / "sentinel.conf"
    with Valkey(tmp_path / "replica", replicaof="127.0.0.1 1") as replica:
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
            f"sentinel monitor vibe 127.0.0.1 {replica.port} 1\n"
            "sentinel down-after-milliseconds vibe 60000\n"
        )
        command = [binary(), str(config), "--sentinel"]
        with Process(command, {}, tmp_path / "sentinel.out") as sentinel:
            eventually(lambda: "+monitor" in sentinel.text())
            status, line = fails(REDIS_URL=f"redis+sentinel://127.0.0.1:{port}/vibe")
    message = "[ERROR] Redis connection failed: Sentinel named a server that is not the primary"
    assert (status, line) == (1, message)


def test_a_wrong_password(fails: Fails, tmp_path: Path) -> None:
    with Valkey(tmp_path / "valkey") as valkey:
        valkey.client.config_set("requirepass", "right")
        for credentials in ("", ":wrong@"):
            status, line = fails(REDIS_URL=f"redis://{credentials}127.0.0.1:{valkey.port}")
            assert status == 1
            assert line.startswith("[ERROR] Redis connection failed: ")
            assert "wrong" not in line


def test_a_password_is_not_shown_when_the_url_is_not_one(fails: Fails) -> None:
    status, line = fails(REDIS_URL="redis://:secret/word@localhost")
    assert (status, line) == (2, "[ERROR] REDIS_URL: Port could not be cast to integer value")


def test_a_redis_that_evicts(fails: Fails, tmp_path: Path) -> None:
    with Valkey(tmp_path / "valkey", maxmemory_policy="allkeys-lru") as valkey:
        status, line = fails(REDIS_URL=valkey.url)
    assert status == 1
    assert line.startswith("[ERROR] maxmemory-policy is allkeys-lru")


def fail_with_each(redis_url: str, output: Path, *each: dict[str, str]) -> list[tuple[str, str]]:
    """The one line of each of these starts, and its exit status."""
    command = [sys.executable, "-c", START_WITH_EACH, json.dumps(each)]
    with Process(command, {"REDIS_URL": redis_url}, output) as process:
        process.wait()
        lines = process.text().splitlines()
    assert len(lines) == 2 * len(each), lines
    return list(zip(lines[::2], lines[1::2], strict=True))


def test_every_setting_refuses_a_bad_value(valkey: Valkey, tmp_path: Path) -> None:
    assert {name.lower() for name in BAD_VALUES} == set(Settings.model_fields)
    each = [{name: value} for name, value in BAD_VALUES.items()]
    found = fail_with_each(valkey.url, tmp_path / "out", *each)
    for name, (line, status) in zip(BAD_VALUES, found, strict=True):
        assert line.startswith(f"[ERROR] {name}: ")
        assert status == "2", line


def test_a_port_in_use(fails: Fails, valkey: Valkey, silent: socket.socket) -> None:
    port = silent.getsockname()[1]
    status, line = fails(REDIS_URL=valkey.url, PORT=str(port))
    assert status == 1
    assert line.startswith(f"[ERROR] Cannot listen on localhost:{port}: Address already in use")


@pytest.mark.parametrize(
    ("settings", "status"), [({"REDIS_URL": NOBODY}, 1), ({"PORT": "http"}, 2)]
)
def test_a_refusal_as_json(fails: Fails, settings: dict[str, str], status: int) -> None:
    found, line = fails(LOG_FORMAT="json", **settings)
    assert found == status
    assert json.loads(line)["level"] == "error"


def test_every_line_as_json(tmp_path: Path) -> None:
    embedded = ["--embedded", "--data", str(tmp_path / "data")]
    with Server(tmp_path / "out", *embedded, LOG_FORMAT="json", ADMIN_TOKEN="") as server:
        httpx.get(f"{server.url}/abc/balance")
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.text().splitlines()]
    assert all(set(line) == {"time", "level", "message"} for line in lines)
    messages = [line["message"] for line in lines]
    assert any(message.startswith("Admin token for this start: ") for message in messages)
    assert "Loaded tenant config for abc" in messages
    assert messages[-1] == "Server shutting down"


def test_no_start_with_a_short_admin_token_where_others_can_try(tmp_path: Path) -> None:
    hosts = ("0.0.0.0", "::", "192.0.2.1", "example.org")
    tokens = ("a", "my-admin-token-")
    each = [{"ADMIN_TOKEN": token, "HOST": host} for token in tokens for host in hosts]
    reason = "must have at least 16 characters where HOST is not localhost"
    found = fail_with_each(NOBODY, tmp_path / "out", *each)
    assert found == [(f"[ERROR] ADMIN_TOKEN: {reason}", "2")] * len(each)


@pytest.mark.parametrize(
    ("token", "host", "warns"),
    [
        ("a", "localhost", True),
        ("my-admin-token-", "127.0.0.1", True),
        ("my-admin-token-x", "localhost", False),
        ("my-admin-token-x", "0.0.0.0", False),
    ],
)
def test_a_short_admin_token_on_this_machine_alone_is_a_warning(
    tmp_path: Path, valkey: Valkey, token: str, host: str, warns: bool
) -> None:
    with Server(tmp_path / "out", REDIS_URL=valkey.url, ADMIN_TOKEN=token, HOST=host) as server:
        reply = httpx.get(f"{server.url}/tenants", headers={"Authorization": f"Bearer {token}"})
        assert reply.status_code == 200
        warning = "[WARN] ADMIN_TOKEN has fewer than 16 characters"
        assert server.text().count(warning) == int(warns)
        assert f"{token} " not in server.text()


def test_the_log_says_that_administration_is_closed(tmp_path: Path, valkey: Valkey) -> None:
    with Server(tmp_path / "out", REDIS_URL=valkey.url, ADMIN_TOKEN="") as server:
        assert "[WARN] ADMIN_TOKEN is not set" in server.text()
        assert httpx.get(f"{server.url}/tenants", headers=ADMIN).status_code == 401


def test_garbage_is_collected_once_all_is_imported(valkey: Valkey, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WHETHER_IT_COLLECTS]
    settings = {"REDIS_URL": valkey.url, "PORT": "0"}
    with Process(command, settings, tmp_path / "out") as process:
        assert process.wait() == 0
        assert process.text().endswith("\nTrue\n")
