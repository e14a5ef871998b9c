"""The image run as Kubernetes runs it: process 1, not root, nothing writable but /tmp."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.processes import START_SECONDS, Process, Server, eventually

# $1 is the root file system; the rest is run. The mounts end with their namespace.
_ENTER = """
root=$1
shift
mount --bind "$root" "$root"
mount -t tmpfs -o mode=755 none "$root/dev"
for name in null zero full random urandom; do
  : >"$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mount -o remount,ro "$root/dev"
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec,size=64m none "$root/tmp"
mount -o remount,bind,ro "$root"
exec "$@"
"""


class Container(Server):
    """The image's ENTRYPOINT, its root file system unpacked in `root`, on the host's network."""

    def __init__(
        self, output: Path, root: Path, config: Mapping[str, Any], **settings: str
    ) -> None:
        self._env = dict(entry.split("=", 1) for entry in config["Env"]) | settings
        user, group = config["User"].split(":")
        self._user = [f"--setuid={user}", f"--setgid={group}"]
        unshare = _program("unshare")
        as_process_1 = [unshare, "--pid", "--fork", "--kill-child", "--mount-proc"]
        as_process_1 += [f"--root={root}", f"--wd={config['WorkingDir']}", *self._user, "--"]
        enter = [unshare, "--mount", "--", "/bin/sh", "-ec", _ENTER, "sh", str(root)]
        Process.__init__(self, [*enter, *as_process_1, *config["Entrypoint"]], self._env, output)
        try:
            eventually(lambda: self.popen.poll() is not None or self.is_up(), START_SECONDS)
            assert self.popen.poll() is None, self.text()
        except BaseException:
            print(self.text())
            self.kill()
            raise

    @property
    def process_1(self) -> int:
        """Its ID outside of the container."""
        (pid,) = self.worker_pids()
        return pid

    def send_signal(self, number: int) -> None:
        os.kill(self.process_1, number)

    def kill(self) -> None:
        """Ends all of the container's processes, in whatever state they are."""
        self.signal_group(signal.SIGKILL)
        self.wait()

    def execute(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A further command in the running container, as `docker exec`, HEALTHCHECK and probes."""
        where = ["--target", str(self.process_1), "--mount", "--pid", "--root", "--wd"]
        return subprocess.run(
            [_program("nsenter"), *where, *self._user, "--", *command],
            env=self._env | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=30,
        )


def _program(name: str) -> str:
    # On the machine's PATH, which the image's replaces.
    found = shutil.which(name)
    assert found, name
    return found
