"""`python -m tests.image`: builds the container image, runs it and checks both.

Exit status 1 if anything fails; 0 with a line that says so where the machine cannot build it.
"""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.image import buildah, checks, machine


def main() -> int:
    # As an exception, so that all that was started is ended, and all that was made removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if missing := machine.what_is_missing():
        _say(f"SKIPPED, nothing was built ({missing})")
        return 0
    buildah.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            _build_and_check(Path(folder))
        except subprocess.CalledProcessError as error:
            _say(f"FAILED, {error.cmd} ended with {error.returncode}")
            for log in sorted(Path(folder).glob("*.log")):
                print(f"{log.name}:", *log.read_text().splitlines()[-40:], sep="\n  ")
            return 1
    return 0


def _build_and_check(folder: Path) -> None:
    began = time.monotonic()
    made = buildah.make_stand_in(folder / "1-base.log")
    origin = "made now by debootstrap" if made else "kept from before"
    _say(f"{buildah.base_name()} is not pulled: a Debian with its own Python stands in for it,")
    _say(f"{origin} ({time.monotonic() - began:.0f} s)")
    began = time.monotonic()
    with buildah.built(folder / "2-build.log", folder) as image:
        _say(f"Dockerfile built ({time.monotonic() - began:.0f} s)")
        *base, ours = (size / 1e6 for size in buildah.layers(image))
        _say(f"{ours:.0f} MB, not compressed, on {sum(base):.0f} MB of the base")
        began = time.monotonic()
        with buildah.unpacked(image) as root:
            checks.check_files(root)
            checks.check_container(root, buildah.config(image), folder)
    _say(f"runs, is healthy, charges, stops with 0 ({time.monotonic() - began:.0f} s)")


def _say(text: str) -> None:
    print(f"image: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
