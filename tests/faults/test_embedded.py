"""The bundled Valkey: data that survives, one server per directory, no orphans."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.api import Api, User
from tests.processes import ADMIN_TOKEN, ROOT, Server, eventually, free_port

CLIENTS = 8


def start(folder: Path, data: Path, wait: bool = True, **settings: str) -> Server:
    settings = {"WORKERS": "1", **settings}
    return Server(folder / "out", "--embedded", "--data", str(data), wait=wait, **settings)


def arguments_of(pid: int) -> list[str]:
    """Those of a running process, none if there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def valkey_pid(server: Server) -> int:
    """The child that is Valkey (which names its socket in its title)."""
    (pid,) = (pid for pid in server.worker_pids() if "unixsocket:" in arguments_of(pid)[0])
    return pid


def is_gone(pid: int) -> bool:
    return not arguments_of(pid)


def client_of(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=10)


def again(client: httpx.Client, user: User) -> User:
    """The user, of the server that `client` talks to."""
    return User(Api(client, user.api.tenant_id), {"apiKey": user.api_key, "userId": user.user_id})


def test_data_survive_sigterm(tmp_path: Path) -> None:
    with start(tmp_path, tmp_path / "data") as server, client_of(server) as client:
        user = Api.new_tenant(client).login()
        assert user.charge(40).status_code == 200
        assert ADMIN_TOKEN not in server.text()
        assert "Admin token" not in server.text()
        pids = server.worker_pids()
    assert all(is_gone(pid) for pid in pids)
    with start(tmp_path, tmp_path / "data") as server, client_of(server) as client:
        assert again(client, user).balance()["tokensLeft"] == 60
        assert again(client, user).charge(60).json() == {"tokensLeft": 0}


def charge_until_it_breaks(user: User) -> int:
    """How many charges were acknowledged."""
    for acknowledged in range(100_000):
        try:
            reply = user.charge(1)
        except httpx.TransportError:
            return acknowledged
        # A worker that outlives the parent and Valkey by a moment says so.
        if reply.status_code == 503:
            return acknowledged
        assert reply.status_code == 200
    raise AssertionError("never broke")


def test_kill_9_of_the_parent_leaves_no_orphan_and_loses_nothing(tmp_path: Path) -> None:
    port = str(free_port())
    with (
        start(tmp_path, tmp_path / "data", PORT=port, WORKERS="2") as server,
        client_of(server) as client,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        api = Api.new_tenant(client)
        users = [api.login() for _ in range(CLIENTS)]
        for user in users:
            user.grant({"tokens": 1_000_000})
        pids = [valkey_pid(server), *server.worker_pids()]
        runs = [threads.submit(charge_until_it_breaks, user) for user in users]
        eventually(lambda: all(user.balance()["tokensUsed"] > 3 for user in users))
        server.send_signal(signal.SIGKILL)
        server.wait()
        # At once, on the same directory and port.
        with (
            start(tmp_path, tmp_path / "data", PORT=port) as successor,
            client_of(successor) as client,
        ):
            acknowledged = [run.result() for run in runs]
            eventually(lambda: all(is_gone(pid) for pid in pids), 5)
            for user, count in zip(users, acknowledged, strict=True):
                # The one that broke off may have been charged.
                assert count <= again(client, user).balance()["tokensUsed"] <= count + 1
                assert again(client, user).charge(1).status_code == 200
    assert "Traceback" not in server.text()


def test_one_server_per_directory_and_its_socket_is_private(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with start(tmp_path, tmp_path / "data") as server, client_of(server) as client:
        with start(tmp_path / "second", tmp_path / "data", wait=False) as second:
            assert_private(valkey_pid(server))
            user = Api.new_tenant(client).login()
            # It waits for a moment, as the Valkey of a server that was killed may still run.
            assert second.wait() == 1
            expected = f"[ERROR] {tmp_path / 'data'} is in use by another server\n"
            assert second.text() == expected
        assert user.charge(1).json() == {"tokensLeft": 99}


def test_an_admin_token_is_made_for_each_start(tmp_path: Path) -> None:
    # LOG_LEVEL does not hide it: nobody else knows it.
    tokens = [
        use_token(tmp_path / name, tmp_path / "data", level)
        for name, level in (("first", "error"), ("second", "info"))
    ]
    assert tokens[0] != tokens[1]


def use_token(folder: Path, data: Path, level: str) -> str:
    folder.mkdir()
    port = str(free_port())
    settings = {"ADMIN_TOKEN": "", "LOG_LEVEL": level, "PORT": port}
    with start(folder, data, wait=False, **settings) as server:
        eventually(lambda: "Admin token" in server.text(), 30)
        found = re.findall(r"^\[INFO\] Admin token for this start: (\S+)$", server.text(), re.M)
        assert len(found) == 1
        headers = {"Authorization": f"Bearer {found[0]}"}
        with httpx.Client(base_url=f"http://localhost:{port}") as client:
            eventually(lambda: answers(client), 30)
            assert client.get("/tenants", headers=headers).json() == {"tenants": ["abc"]}
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            assert client.get("/tenants", headers=headers).status_code == 401
        return str(found[0])


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def assert_private(pid: int) -> None:
    """Its one door is a socket in a directory that only its owner may enter."""
    (path,) = re.findall(r"unixsocket:(\S+)", " ".join(arguments_of(pid)))
    assert stat.S_IMODE(Path(path).parent.stat().st_mode) == 0o700
    assert "tcp" not in listening_sockets(pid)


def listening_sockets(pid: int) -> set[str]:
    """The kinds of listening sockets that the process has open."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
    kinds = set()
    for table in "tcp", "tcp6":
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                kinds.add("tcp")
    return kinds


def test_a_valkey_that_dies_is_started_again(tmp_path: Path) -> None:
    with start(tmp_path, tmp_path / "data") as server, client_of(server) as client:
        user = Api.new_tenant(client).login()
        assert user.charge(10).status_code == 200
        dead = valkey_pid(server)
        os.kill(dead, signal.SIGKILL)
        began = time.monotonic()
        eventually(lambda: user.charge(1).status_code == 200)
        assert time.monotonic() - began < 5
        assert user.balance()["tokensLeft"] == 89
        assert valkey_pid(server) != dead
        assert server.text().count("[ERROR] The embedded Valkey ended with status -9\n") == 1


def test_a_start_waits_until_a_large_file_is_read(tmp_path: Path) -> None:
    keys = 500_000
    folder = tmp_path / "data" / "appendonlydir"
    folder.mkdir(parents=True)
    name = "appendonly.aof.1.incr.aof"
    (folder / "appendonly.aof.manifest").write_text(f"file {name} seq 1 type i\n")
    with (folder / name).open("w", newline="") as file:
        for number in range(keys):
            key = f"padding:{number}"
            file.write(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$1\r\n1\r\n")
    with start(tmp_path, tmp_path / "data") as server, client_of(server) as client:
        assert Api.new_tenant(client).login().charge(1).status_code == 200
        assert "[ERROR]" not in server.text()
        assert "DB loaded from incr file" in (tmp_path / "data" / "valkey.log").read_text()


@pytest.mark.parametrize("fault", ["a file", "under a file", "not ours", "broken"])
def test_a_directory_that_cannot_be_used(tmp_path: Path, fault: str) -> None:
    data = tmp_path / "data"
    if fault == "a file":
        data.touch()
    elif fault == "under a file":
        data.touch()
        data = data / "below"
    elif fault == "not ours":
        data = Path("/proc/vibe-server")
    else:
        (data / "appendonlydir").mkdir(parents=True)
        (data / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with start(tmp_path, data, wait=False) as server:
        assert server.wait() == 1
        assert re.fullmatch(r"\[ERROR\] [^\n]*\n", server.text()), server.text()
        assert str(data) in server.text()


def command(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "server", "--embedded", "--data", str(data), *words]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_commands_work_beside_a_server_and_without(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with start(tmp_path, data) as server, client_of(server) as client:
        api = Api.new_tenant(client)
        api.login()
        beside = command(data, "audit")
        assert (beside.returncode, beside.stdout) == (0, "audit: 1 users checked, 0 broken\n")
        assert api.login().balance()["tokensLeft"] > 0, "its Valkey is still there"
        server.send_signal(signal.SIGKILL)
    alone = command(data, "audit")
    assert (alone.returncode, alone.stdout) == (0, "audit: 2 users checked, 0 broken\n")
