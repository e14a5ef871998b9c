"""What would otherwise drift apart: arrows, Lua headers, statuses, settings and the README."""

import ast
import re

import pytest

from server.settings import Settings
from server.status import Status
from tests.processes import ROOT

SERVER = ROOT / "server"
SCRIPTS = sorted(path for path in (ROOT / "lua").glob("*.lua") if path.stem != "prelude")

# Each module may import those in lower layers and, unless it is a leaf, its own.
LAYERS = [
    {"__main__"},
    {"command"},
    {"supervisor", "worker", "audit", "purge", "embedded"},
    {"app"},
    {"startup"},
    {"blueprints"},
    {"services"},
    {"http", "cors", "large_bodies", "openapi", "openapi_page", "openapi_gateway"},
    {"openapi_parts", "openapi_routes"},
    {"gateway"},
    {"holding", "upstream"},
    {"upstream_response"},
    {"meter", "accounts", "users"},
    {"tenants"},
    {"store"},
    {"cluster", "topology"},
    {"pipeline"},
    {"commands"},
    {"providers"},
    {"tenant_config"},
]
LEAVES = {
    *("errors", "keys", "settings", "status", "results", "logs", "metrics", "request_id"),
    *("shutdown", "addresses"),
}


def _imports(path: str) -> set[str]:
    """The modules of ours that a file imports, `blueprints` for all of that package."""
    found = set()
    for node in ast.walk(ast.parse((SERVER / path).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "server":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("server."):
                found.add(node.module.split(".")[1])
            else:
                found.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    return found


def _modules() -> dict[str, set[str]]:
    modules: dict[str, set[str]] = {}
    for path in SERVER.rglob("*.py"):
        relative = path.relative_to(SERVER)
        name = relative.parts[0].removesuffix(".py")
        modules.setdefault(name, set()).update(_imports(str(relative)) - {name})
    del modules["__init__"]
    return modules


def test_arrows_point_down() -> None:
    modules = _modules()
    layer_of = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    assert set(modules) == set(layer_of) | LEAVES, "each module has its place"
    for name, imported in modules.items():
        ours = imported & set(modules) - LEAVES
        if name in LEAVES:
            assert not ours, f"{name} is a leaf"
        else:
            up = {other for other in ours if layer_of[other] < layer_of[name]}
            assert not up, f"{name} imports {up}"


def test_only_the_store_knows_redis_and_blueprints_do_not() -> None:
    modules = _modules()
    assert {name for name, found in modules.items() if "redis" in found} == {
        "cluster",
        "pipeline",
        "store",
        "topology",
    }
    assert not modules["blueprints"] & {"redis", "store", "pipeline", "keys"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_scripts_header_says_what_its_body_does(path: "object") -> None:
    text = path.read_text()  # type: ignore[attr-defined]
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
    code = re.sub(r"--.*", "", body)
    statuses = {status.name for status in Status if re.search(rf"\b{status.name}\b", code)}
    # `recall` in the prelude answers these two, which the script passes on.
    passed_on = {"REPLAYED", "KEY_REUSED"} if "recall(" in code else set()
    assert listed == statuses | passed_on


def test_the_statuses_are_the_same_in_lua_and_python() -> None:
    prelude = (ROOT / "lua" / "prelude.lua").read_text()
    found: dict[str, int] = {}
    for names, values in re.findall(r"^local ([A-Z_, ]+) = ([\d, ]+)$", prelude, re.MULTILINE):
        found |= dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    statuses = {name: value for name, value in found.items() if value < 100}
    assert statuses == {status.name: status.value for status in Status}


def test_the_readme_has_each_setting_with_its_default() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\S*) ?\|", readme, re.MULTILINE))
    wanted = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    assert set(rows) == set(wanted)
    for name, value in wanted.items():
        default = int(value) if isinstance(value, bool) else value
        assert rows[name].strip("`") == (str(default) if default != "" else ""), name


def test_no_file_is_too_long_to_read() -> None:
    for path in SERVER.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 300, path.name
