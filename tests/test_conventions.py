"""What would otherwise drift apart: arrows, Lua headers, statuses, settings, README, locks."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from server.settings import Settings
from server.store.status import Status
from tests.processes import ROOT

SERVER = ROOT / "server"
SCRIPTS = sorted((ROOT / "lua").glob("*.lua"))

# A room is a folder of server/, or a file that lies there by itself. A row is a floor with rooms:
# they may import rooms of all rows below, but none of their own row. A leaf is a room that all may
# import; it imports leaves alone. docs/develop.md has the same as a table, for people.
ROWS = [
    {"__main__"},
    {"process"},
    {"app"},
    {"blueprints"},
    {"openapi", "services"},
    {"gateway", "billing", "voice", "timed"},
    {"metering", "identity"},
    {"tenants", "login_providers", "startup"},
    {"store", "providers", "upstream", "websocket"},
]
LEAVES = {
    *("amounts", "aside", "connections", "errors", "http", "logs", "metrics", "protocol"),
    *("places", "recent", "replies", "settings", "structure", "tasks", "timeouts", "turns", "who"),
}

MAY_IMPORT = {
    "server.store": {
        *("process", "app", "startup", "billing", "metering", "identity", "tenants", "timed"),
    },
    "redis": {"store"},
    "aiohttp": {"upstream"},
    "websockets": {"websocket"},
    "joserfc": {"login_providers"},
    "stripe": {"billing"},
    "sanic": {"process", "app", "blueprints", "http", "protocol", "replies"},
}
"""What is not for every room, with the rooms that import it: these and no others. What is a room
itself may be imported inside it."""


def _module(path: Path) -> str:
    """As it is imported: `server.store.pipeline`, and `server.store` for the folder's __init__."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {_module(path): path for path in SERVER.rglob("*.py")}


def _imports(module: str) -> set[str]:
    """All that a module imports: modules of ours by their whole names, and the names of others."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


IMPORTS = {module: _imports(module) for module in MODULES}


def _room(module: str) -> str:
    """The room that a module of ours is in, "" for a module of others."""
    return module.split(".")[1] if module.startswith("server.") else ""


def test_arrows_point_down() -> None:
    row_of = {name: number for number, row in enumerate(ROWS) for name in row}
    rooms = {_room(module) for module in MODULES} - {""}
    placed = set(row_of) | LEAVES
    assert rooms <= placed, f"{rooms - placed} must be in a row of ROWS, or a leaf in LEAVES"
    assert placed <= rooms, f"{placed - rooms} of ROWS or LEAVES is not in server/"
    for module, imported in IMPORTS.items():
        room = _room(module)
        for other in {_room(name) for name in imported} - {"", room} - LEAVES:
            assert room not in LEAVES, f"{module} imports {other}, and a leaf imports LEAVES alone"
            lower = row_of[other] > row_of[room]
            assert lower, f"{module} imports {other}, which is in no lower row of ROWS than {room}"


def test_the_documented_rows_are_these() -> None:
    page = (ROOT / "docs" / "develop.md").read_text()
    cells = re.findall(r"^\| (?:\d+|leaves) \| (.+?) \|", page, re.MULTILINE)
    rows = [set(re.findall(r"`(\w+)`", cell)) for cell in cells]
    assert rows == [*ROWS, LEAVES], "docs/develop.md differs from ROWS and LEAVES"


def test_no_arrows_go_around() -> None:
    """Not between the files of a room either."""
    TopologicalSorter(IMPORTS).prepare()


@pytest.mark.parametrize("what", MAY_IMPORT)
def test_some_things_are_for_few(what: str) -> None:
    users = {
        _room(module)
        for module, imported in IMPORTS.items()
        if any(f"{name}.".startswith(f"{what}.") for name in imported)
    } - {_room(what)}
    allowed = MAY_IMPORT[what]
    assert users <= allowed, f"{users - allowed} may not import {what}, by MAY_IMPORT"
    assert allowed <= users, f"{allowed - users} of MAY_IMPORT does not import {what} any more"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_scripts_header_says_what_its_body_does(path: Path) -> None:
    text = path.read_text()
    header, body = text.split("]]", 1)
    for kind in ("KEYS", "ARGV"):
        described = re.findall(rf"^  {kind}\[(\d+)\] +(\w+)", header, re.MULTILINE)
        assert [int(number) for number, _ in described] == list(range(1, len(described) + 1))
        named = re.search(rf"{kind}\[", body)
        assert (named is not None) == bool(described)
        used = {int(number) for number in re.findall(rf"{kind}\[(\d+)\]", body)}
        assert used == {int(number) for number, _ in described}, f"{kind} in the body"
    returns = header.split("Returns", 1)[1]
    listed = set(re.findall(r"^    ([A-Z_]+)", returns, re.MULTILINE))
    code = re.sub(r"--.*|'[A-Z]+'", "", body)
    statuses = {status.name for status in Status if re.search(rf"\b{status.name}\b", code)}
    # `open_once` in the prelude answers these two, which the script may pass on.
    passed_on = {"REPLAYED", "KEY_REUSED"} if "reply(once.status" in code else set()
    assert listed == statuses | passed_on


def test_the_statuses_are_the_same_in_lua_and_python() -> None:
    prelude = (ROOT / "lua" / "prelude" / "base.lua").read_text()
    found: dict[str, int] = {}
    statuses = prelude[prelude.index("local OK") :].split("\n\n")[0]
    for names, values in re.findall(r"^local ([A-Z_, ]+) = ([\d, ]+)$", statuses, re.MULTILINE):
        found |= dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert found == {status.name: status.value for status in Status}


def test_the_readme_has_each_setting_with_its_default() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S*) ?\|", readme, re.MULTILINE))
    wanted = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    assert set(rows) == set(wanted)
    for name, value in wanted.items():
        default = int(value) if isinstance(value, bool) else value
        assert rows[name].strip("`") == (str(default) if default != "" else ""), name


def test_the_locks_are_within_the_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, dev = project["dependencies"], project["optional-dependencies"]["dev"]
    locks = {"requirements.lock": runtime, "requirements-dev.lock": [*runtime, *dev]}
    for name, wanted in locks.items():
        pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for requirement in map(Requirement, wanted):
            pin = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(pin), f"{name}: {requirement} is {pin}"


def test_no_file_is_too_long_to_read() -> None:
    for path in SERVER.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path.name
