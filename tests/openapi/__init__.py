"""The document that the server serves, for tests of what it says."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from sanic import Sanic

from server.app import Deps, create_app
from server.blueprints import docs
from server.settings import Settings
from server.store.store import Store


@cache
def unopened_app() -> Sanic[Any, Any]:
    return create_app(Deps(Settings.from_environment({}), Store("redis://127.0.0.1:1", 1)))


def document() -> dict[str, Any]:
    return docs.document_of(unopened_app())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its label, as in `GET /docs`."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation
