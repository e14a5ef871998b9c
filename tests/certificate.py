"""A certificate of its own, for a server with TLS that tests start."""

import shutil
import subprocess
from pathlib import Path

OPENSSL = shutil.which("openssl")


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """The certificate and its key, for `name` (as in `DNS:localhost`), valid for a day."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = f"{OPENSSL} req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    options = ["-addext", f"subjectAltName={name}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *options], check=True, capture_output=True)
    return certificate, key
