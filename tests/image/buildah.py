"""The image, built by buildah without a Docker engine, its storage under build/image."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.image.machine import ON_ITS_OWN, PipSettings, debian_mirror
from tests.processes import ROOT

FOLDER = ROOT / "build" / "image"
PACKAGES = "python3,python3-venv,python3-pip"
_STORAGE = ("--root", f"{FOLDER}/storage", "--runroot", f"{FOLDER}/run", "--storage-driver", "vfs")
_HOSTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base_name() -> str:
    """The base image that the Dockerfile names."""
    found = re.search(r"^FROM (\S+) AS base$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found, "the Dockerfile names its base"
    return found[1]


def make_stand_in(log: Path) -> bool:
    """Gives the name of the base image to a Debian with Debian's Python.

    False if there is an image of this name, which is kept between runs. `log` gets what
    debootstrap says.
    """
    name = base_name()
    if _buildah("images", "--quiet", "--filter", f"reference={name}"):
        return False
    container = _buildah("from", "scratch")
    try:
        root = Path(_buildah("mount", container))
        suite = name.rsplit("-", 1)[1]
        debootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}"]
        with log.open("w") as output:
            command = [*ON_ITS_OWN, *debootstrap, suite, str(root), str(debian_mirror())]
            subprocess.run(command, stdout=output, stderr=output, check=True)
        shutil.rmtree(root / "var/cache/apt")
        shutil.rmtree(root / "var/lib/apt/lists")
        # The real one has no bytecode of the standard library either.
        for bytecode in root.glob("usr/lib/**/*.pyc"):
            bytecode.unlink()
        _buildah("config", "--env", f"PATH={_HOSTS_PATH}", container)
        _buildah("commit", "--quiet", container, name)
    finally:
        _buildah("rm", container)
    return True


@contextmanager
def built(log: Path, folder: Path) -> Iterator[str]:
    """Builds the Dockerfile; the image's ID, until the end of the context. `folder` is scratch."""
    pip = PipSettings()
    pip_conf, image_id = folder / "pip.conf", folder / "id"
    pip_conf.write_text(pip.text())
    mounts = {str(path): str(path) for path in pip.paths()} | {str(pip_conf): "/etc/pip.conf"}
    # HEALTHCHECK is of Docker's format, not of OCI's.
    options = ["--format", "docker", "--isolation", "chroot", "--pull-never", "--network", "host"]
    for source, target in mounts.items():
        options += ["--volume", f"{source}:{target}:ro"]
    command = ["buildah", *_STORAGE, "bud", *options, "--iidfile", str(image_id), str(ROOT)]
    try:
        with log.open("w") as output:
            subprocess.run([*ON_ITS_OWN, *command], stdout=output, stderr=output, check=True)
        yield image_id.read_text().removeprefix("sha256:")
    finally:
        # All containers of this storage are ours, also those of a build that was interrupted.
        _buildah("rm", "--all")
        if image_id.exists():
            _buildah("rmi", image_id.read_text())


@contextmanager
def unpacked(image: str) -> Iterator[Path]:
    """A copy of the image's root file system."""
    container = _buildah("from", "--pull-never", image)
    try:
        yield Path(_buildah("mount", container))
    finally:
        _buildah("rm", container)


def config(image: str) -> dict[str, Any]:
    """What the image says how to run it, in Docker's terms."""
    return dict(_inspect(image)["Docker"]["config"])


def layers(image: str) -> list[int]:
    """The sizes of its layers in bytes, not compressed; what the Dockerfile adds is the last."""
    return [layer["size"] for layer in json.loads(_inspect(image)["Manifest"])["layers"]]


def _inspect(image: str) -> dict[str, Any]:
    return dict(json.loads(_buildah("inspect", "--type", "image", image)))


def _buildah(*arguments: str) -> str:
    command = ["buildah", *_STORAGE, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
