"""What README.md and docs/ name exists: commands, settings, files, metrics, links."""

import re
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest
import yaml

from server.metrics import FAMILIES
from server.settings import Settings
from tests.abuse.test_abuse import ATTACKS
from tests.bench import plot
from tests.bench.__main__ import PARTS
from tests.processes import ROOT

DOCS = ROOT / "docs"
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md")))
MOST_SVG_BYTES = 60_000
MOST_PNG_BYTES = 60_000
_CODE = re.compile(r"^ *```\w*\n(.*?)^ *```|^ {4}([^\n]*)$|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
# Of clients, of Docker's build, and of the addresses that a reader puts in.
_NOT_OURS = {
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    *("ANTHROPIC_AUTH_TOKEN", "SSL_CERT_FILE"),
    "CHECKOUT_SESSION_ID",
}


def _text(page: str) -> str:
    return (ROOT / page).read_text()


def _code(page: str) -> str:
    """Blocks, fenced or indented, and what is in backquotes: where names of the project are."""
    return "\n".join("".join(found) for found in _CODE.findall(_text(page)))


def _slugs(page: str) -> set[str]:
    """The anchors of a page's headings."""
    prose = re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", _code(page))) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_are_run_exist(page: str) -> None:
    for name, words in re.findall(r"\bpython3? -m ((?:tests|server)[\w.]*)([ \w]*)", _code(page)):
        spec = find_spec(name)
        assert spec is not None, name
        if spec.submodule_search_locations:
            assert find_spec(f"{name}.__main__"), name
        if name == "tests.bench":
            assert set(words.split()) <= set(PARTS), words


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page: str) -> None:
    code = _code(page)
    found = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", code))
    of_the_shell = set(re.findall(r"^(?:export )?([A-Z_]+)=\S*$", code, re.MULTILINE))
    assert found - of_the_shell - _NOT_OURS <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("page", PAGES)
def test_files_exist(page: str) -> None:
    names = r"(?<![\w/.-])(?:(?:server|lua|tests|k8s|docs|\.ci)/[\w./*-]*|Dockerfile|Makefile)"
    for path in re.findall(names, _code(page)):
        assert list(ROOT.glob(path.rstrip("/"))), path


@pytest.mark.parametrize("page", PAGES)
def test_named_tests_exist(page: str) -> None:
    attacks = {attack.name for attack in ATTACKS}
    for path, name in re.findall(r"(tests/[\w/]+\.py)::(\w+)", _code(page)):
        is_test = re.search(rf"\bdef {name}\(", (ROOT / path).read_text())
        assert is_test or name in attacks, f"{path}::{name}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _text(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in _slugs(str(file.relative_to(ROOT))), target


@pytest.mark.parametrize("page", PAGES)
def test_metrics_exist(page: str) -> None:
    names = set(re.findall(r"\bvibe_\w+", _code(page)))
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in names} <= set(FAMILIES)


def test_every_alert_is_explained() -> None:
    (group,) = yaml.safe_load((ROOT / "k8s/monitoring/alerts.yaml").read_text())["groups"]
    explained = re.findall(r"^\| `(VibeServer\w+)`", _text("docs/operate.md"), re.MULTILINE)
    assert explained == [rule["alert"] for rule in group["rules"]]


@pytest.mark.parametrize("name", sorted(path.name for path in DOCS.glob("*.svg")))
def test_pictures_are_small_and_safe_to_show(name: str) -> None:
    text = (DOCS / name).read_text()
    assert len(text.encode()) < MOST_SVG_BYTES
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_examples_picture_is_small() -> None:
    """As `make picture` draws it."""
    data = (DOCS / "example.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < MOST_PNG_BYTES


def test_what_is_shown_of_the_example_is_there() -> None:
    blocks = re.findall(r"^ *```js\n(.*?)^ *```", _text("docs/app.md"), re.DOTALL | re.MULTILINE)
    shown = {line.strip() for block in blocks for line in block.splitlines()}
    sources = [path.read_text() for path in (DOCS / "example").glob("*.js")]
    there = {line.strip() for source in sources for line in source.splitlines()}
    assert shown
    assert shown <= there
    names = {path.name for path in (DOCS / "example").iterdir()} - {"icon.svg"}
    table = re.findall(r"^\| (`[a-z]+\..*?) \|", _text("docs/app.md"), re.MULTILINE)
    assert set(re.findall(r"`([a-z.]+)`", " ".join(table))) == names


def test_the_same_figures_make_the_same_plot() -> None:
    columns = ("per_second", "p50_us", "p99_us", "server_us", "redis_us")
    row = dict.fromkeys(columns, 1000.0)
    found = {
        **dict.fromkeys(("date", "machine", "generator", "redis"), "some"),
        "rows": [{"connections": count, **row} for count in (1, 2, 4)],
    }
    assert plot.draw(found) == plot.draw(found)
