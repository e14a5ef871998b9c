"""What this machine has and how it reaches packages: found when it is run, written nowhere."""

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = ("buildah", "debootstrap", "apt-get", "unshare", "nsenter", "mount")

# Whoever lets its mounts and children be its own leaves none behind, however it ends.
ON_ITS_OWN = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")


def what_is_missing() -> str:
    """Why no image can be built here, or nothing."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"not installed: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "not root"
    if subprocess.run([*ON_ITS_OWN, "true"], capture_output=True, check=False).returncode:
        return "no permission to make namespaces"
    if debian_mirror() is None:
        return "apt has no mirror of Debian"
    return ""


def debian_mirror() -> str | None:
    """From where apt gets this Debian; None on another distribution."""
    release = platform.freedesktop_os_release()
    if release["ID"] != "debian":
        return None
    fields = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listing = ["apt-get", "indextargets", "--format", fields, "Identifier: Packages"]
    for line in subprocess.check_output(listing, text=True).splitlines():
        uri, suite, component = line.split()
        if (suite, component) == (release.get("VERSION_CODENAME"), "main"):
            return uri
    return None


class PipSettings:
    """pip's configuration on this machine: as a file, and the files it refers to."""

    def __init__(self) -> None:
        listing = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
        self._sections: dict[str, dict[str, str]] = {}
        for line in subprocess.check_output(listing, text=True).splitlines():
            name, value = line.split("=", 1)
            section, key = name.rsplit(".", 1)
            # Variables overrule files, and come first in the list.
            section = "global" if section == ":env:" else section
            self._sections.setdefault(section, {}).setdefault(key, str(ast.literal_eval(value)))
        certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
        if certificates:
            self._sections.setdefault("global", {}).setdefault("cert", certificates)

    def text(self) -> str:
        """As pip.conf."""
        lines = []
        for section, values in self._sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = " + value.replace("\n", "\n  ") for key, value in values.items()]
        return "\n".join(lines) + "\n"

    def paths(self) -> set[Path]:
        """Files and folders that the configuration names, and that exist."""
        values = " ".join(value for keys in self._sections.values() for value in keys.values())
        paths = {Path(word.removeprefix("file://")) for word in re.split(r"\s+", values)}
        # The pages of an index, `simple`, link to files beside it.
        folders = {path.parent if path.name == "simple" else path for path in paths}
        return {path for path in folders if path.is_absolute() and path.exists()}
