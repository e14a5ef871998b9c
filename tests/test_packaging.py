"""The wheel holds all that the server needs, and runs outside of the checkout."""

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from packaging.requirements import Requirement

from tests.api import Api
from tests.processes import ADMIN_TOKEN, ROOT, START_SECONDS, Process, Server, Valkey, eventually

SHA256_OF_APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    (path,) = folder.glob("*.whl")
    return path


class Installed(Server):
    """`vibe-server` as pip made it in `target`, in a directory where there is no checkout."""

    def __init__(self, output: Path, target: Path, **settings: str) -> None:
        env = {"PORT": "0", "ADMIN_TOKEN": ADMIN_TOKEN, "PYTHONPATH": str(target), **settings}
        command = [sys.executable, str(target / "bin" / "vibe-server")]
        in_folder = ["sh", "-c", 'cd "$0" && exec "$@"', str(output.parent), *command]
        Process.__init__(self, in_folder, env, output)
        eventually(lambda: self.popen.poll() is not None or self.is_up(), START_SECONDS)
        assert self.popen.poll() is None, self.text()


def test_every_file_is_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "server").rglob("*.*")}
    modules_and_data = {name for name in tracked if "__pycache__" not in name}
    scripts = {f"server/{path.relative_to(ROOT)}" for path in (ROOT / "lua").rglob("*.lua")}
    assert "server/tenants/first_tenant.json" in modules_and_data
    assert len(scripts) > 10
    assert packed == modules_and_data | scripts


def test_its_licence_is_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        packed = {Path(name).name: name for name in archive.namelist() if "/licenses/" in name}
        for name in ("LICENSE", "NOTICE"):
            assert archive.read(packed[name]) == (ROOT / name).read_bytes()
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        assert b"\nLicense-Expression: Apache-2.0\n" in archive.read(metadata)
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == SHA256_OF_APACHE_2


def test_it_runs_where_there_is_no_checkout(wheel: Path, valkey: Valkey, tmp_path: Path) -> None:
    target = tmp_path / "target"
    install = [*PIP, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True)
    with (
        Installed(tmp_path / "out", target, REDIS_URL=valkey.url) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        assert Path(f"/proc/{server.pid}/cwd").resolve() == tmp_path
        user = Api.new_tenant(client).login()
        assert user.charge(30).json() == {"tokensLeft": 70}
        assert client.post("/abc/auth/anonymous").status_code == 200
        page = client.get("/docs")
        assert page.status_code == 200
        assert "html" in page.headers["content-type"]
        assert client.get("/docs/openapi.json").json()["openapi"].startswith("3.")


def test_the_demo_needs_nothing_that_only_tests_have() -> None:
    """Nor do the doubles' commands: they run after `make run` or `make demo`, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [Requirement(one).name for one in project["optional-dependencies"]["dev"]]
    without = {name.replace("-", "_") for name in names} | {"yaml"}
    doubles = [f"tests.doubles{room}.__main__" for room in ("", ".sign_in", ".stripe_api")]
    modules = ["tests.demo.__main__", "tests.demo.picture", *doubles]
    program = f"import sys; sys.modules.update(dict.fromkeys({without}))\n"
    program += "\n".join(f"import {module}" for module in modules)
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
