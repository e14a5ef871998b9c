"""The types of /client.js: TypeScript takes them as strictly as it can, an app's code and the SDKs
fit them, and so does the module itself."""

from pathlib import Path

import pytest

from tests.node import Node
from tests.processes import ROOT

CLIENT = ROOT / "server" / "client"
OPTIONS = {
    "strict": "true",
    "noEmit": "true",
    "target": "es2022",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": "es2022,dom,dom.iterable,dom.asynciterable",
}
# Of the module's own source: only what it has for others is typed.
OF_SOURCE = {
    "allowJs": "true",
    "checkJs": "true",
    "noImplicitAny": "false",
    "useUnknownInCatchVariables": "false",
}


@pytest.fixture(scope="module")
def node() -> Node:
    node = Node(Path(__file__).parent)
    for name, source in (("client.d.ts", "client.d.ts"), ("module.js", "client.js")):
        (node.folder / "typed" / name).write_bytes((CLIENT / source).read_bytes())
    return node


def check(node: Node, file: str, **options: str) -> None:
    tsc = str(node.folder / "node_modules" / ".bin" / "tsc")
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    node.run([tsc, *given, f"typed/{file}"])


def test_an_app_in_typescript(node: Node) -> None:
    check(node, "app.ts", **OPTIONS, skipLibCheck="true")  # the SDKs' own are their own business


def test_the_module_is_what_its_types_say(node: Node) -> None:
    check(node, "agrees.ts", **OPTIONS, **OF_SOURCE)
