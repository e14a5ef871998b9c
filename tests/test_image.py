"""The Dockerfile as a text; that it builds and runs is checked by `make image`."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from server.settings import Settings
from tests.processes import ROOT

TEXT = re.sub(r"\\\n *", "", (ROOT / "Dockerfile").read_text())
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
FINAL = LINES[max(number for number, line in enumerate(LINES) if line.startswith("FROM ")) :]


def _only(instruction: str) -> str:
    """The arguments of the final stage's one instruction of this name."""
    (line,) = (line for line in FINAL if line.startswith(f"{instruction} "))
    return line.removeprefix(f"{instruction} ")


def _environment() -> dict[str, str]:
    entries = [line.removeprefix("ENV ") for line in FINAL if line.startswith("ENV ")]
    return {name: text.strip('"') for name, text in re.findall(r"(\w+)=(\S+)", " ".join(entries))}


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned_to_a_python_that_we_support() -> None:
    bases = [line.split()[1] for line in LINES if line.startswith("FROM ")]
    assert bases[1:] == ["base", "base"]
    pinned = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-[a-z]+", bases[0])
    assert pinned
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert f">={pinned[1]}" == project["project"]["requires-python"]


def test_the_base_is_not_older_than_half_a_year() -> None:
    """It fails one day though nothing was changed: then fixes have been missing for too long."""
    made = re.search(r"^# Made on (\d{4}-\d\d-\d\d)\nFROM python:", TEXT, re.MULTILINE)
    assert made, "the Dockerfile has no date above its base"
    age = datetime.now(UTC).date() - date.fromisoformat(made[1])
    assert timedelta() <= age <= timedelta(days=183), (
        f"the base image is of {made[1]}: choose the newest patch release of its Python, whose tag "
        "and date are at the top of the Dockerfile; docs/operate.md, Docker, says how"
    )


def test_its_variables_are_settings_and_agree_with_the_exposed_port() -> None:
    environment = _environment()
    ours = {
        name: value for name, value in environment.items() if name.lower() in Settings.model_fields
    }
    assert set(environment) - set(ours) == {"PATH", "PYTHONDONTWRITEBYTECODE"}
    settings = Settings.from_environment(ours)
    assert settings.host == "0.0.0.0"
    assert str(settings.port) == _only("EXPOSE")


def test_it_runs_as_a_number_that_is_not_root_and_without_a_shell() -> None:
    user, group = map(int, _only("USER").split(":"))
    assert user > 0
    assert group > 0
    assert json.loads(_only("ENTRYPOINT")) == ["python", "-m", "server"]
    command = _only("HEALTHCHECK").split(" CMD ", 1)[1]
    assert json.loads(command)[:2] == ["python", "-c"]


def test_the_modules_that_it_imports_exist() -> None:
    names = re.findall(r"\bserver(?:\.\w+)+", TEXT)
    assert names
    assert all(map(find_spec, names)), names


def test_its_label_is_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', _only("LABEL")))
    assert labels["version"] == project["version"]
    assert labels["description"] == project["description"]
    assert labels["title"] == project["name"]
    assert labels["licenses"] == project["license"]


def test_its_context_is_what_it_copies_and_no_more() -> None:
    copies = [line.split()[1:-1] for line in LINES if line.startswith("COPY ")]
    copied = {word for words in copies if not words[0].startswith("--from=") for word in words}
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    first, *others = [rule for rule in rules if rule and not rule.startswith("#")]
    # All is kept out (.git, .venv, data, secrets of whatever name) but these.
    assert first == "*"
    assert {rule[1:] for rule in others if rule.startswith("!")} == copied
    assert copied == {"requirements.lock", "server", "lua", "LICENSE", "NOTICE"}
    assert others[-1] == "**/__pycache__"
