"""The OpenAPI document as one HTML page that needs no script and nothing from elsewhere."""

import json
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from server.openapi.schemas import Json


def render(document: Json) -> str:
    """The page."""
    page = Template((Path(__file__).parent / "page.html").read_text())
    components = document["components"]
    by_area: dict[str, list[tuple[str, str, Json]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_area[operation["tags"][0]].append((method.upper(), path, operation))
    return page.substitute(
        title=escape(document["info"]["title"]),
        about="".join(f"<p>{_prose(part)}</p>" for part in _paragraphs(document["info"])),
        contents="".join(
            f"<h4>{escape(area)}</h4>" + _table([], (_contents_row(*route) for route in routes))
            for area, routes in by_area.items()
        ),
        areas="".join(
            f"<h2>{escape(tag['name'])}</h2><p>{_prose(tag['description'])}</p>"
            + "".join(_route(*route, components) for route in by_area[tag["name"]])
            for tag in document["tags"]
        ),
        credentials=_table(
            [],
            (
                [_anchored("credential", name), _prose(scheme["description"])]
                for name, scheme in components["securitySchemes"].items()
            ),
        ),
        headers=_table(
            ["name", "value", "meaning"],
            (
                [_anchored("header", name), _type(header["schema"]), _prose(header["description"])]
                for name, header in components["headers"].items()
            ),
        ),
        schemas="".join(
            f'<article id="schema-{name}"><h3>{name}</h3>{_schema(schema)}</article>'
            for name, schema in components["schemas"].items()
        ),
    )


def _paragraphs(info: Json) -> list[str]:
    return str(info["description"]).split("\n\n")


def _contents_row(method: str, path: str, operation: Json) -> list[str]:
    link = f'<a href="#{operation["operationId"]}">{_endpoint(method, path)}</a>'
    return [link, _prose(operation["summary"])]


def _endpoint(method: str, path: str) -> str:
    return f'<code><span class="method">{method}</span>{escape(path)}</code>'


def _route(method: str, path: str, operation: Json, components: Json) -> str:
    name = operation["operationId"]
    parts = [f'<article id="{name}"><h3><a href="#{name}">{_endpoint(method, path)}</a></h3>']
    about = (
        f"<p>{_prose(operation.get('description', ''))}</p>" if "description" in operation else ""
    )
    parts.append(f"<p><b>{_prose(operation['summary'])}</b></p>{about}")
    schemes = [next(iter(scheme)) for scheme in operation["security"]]
    links = [f'<a href="#credential-{scheme}">{scheme}</a>' for scheme in schemes]
    parts.append(f"<p>Credential: {' or '.join(links) or 'none'}</p>")
    if "parameters" in operation:
        found = (_resolve(given, components) for given in operation["parameters"])
        rows = (
            [
                f"<code>{one['name']}</code>",
                one["in"],
                _type(one["schema"]),
                _prose(one["description"]),
            ]
            for one in found
        )
        parts.append("<h4>Parameters</h4>" + _table(["name", "in", "type", "meaning"], rows))
    if "requestBody" in operation:
        needed = "" if operation["requestBody"]["required"] else " (may be absent)"
        parts.append(f"<h4>Body{needed}</h4>{_body(operation['requestBody'], components)}")
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        parts.append(_schema(_resolve(schema, components)))
    replies = (
        [status, _prose(one["description"]) + _headers(one), _body(one, components)]
        for status, one in operation["responses"].items()
    )
    parts.append("<h4>Replies</h4>" + _table(["status", "when", "body"], replies, "replies"))
    return "".join((*parts, "</article>"))


def _body(holder: Json, components: Json) -> str:
    """The examples of a body, and links to its schemas."""
    found = ""
    for media_type, media in holder.get("content", {}).items():
        schema = media["schema"]
        found += "" if media_type == "application/json" else f"<p><code>{media_type}</code></p>"
        shown = [example["value"] for example in media.get("examples", {}).values()]
        examples = shown or _resolve(schema, components).get("examples", ())
        found += "".join(f"<pre>{_example(example)}</pre>" for example in examples)
        found += _type(schema)
    return found


def _headers(response: Json) -> str:
    """Links to those that not every reply has."""
    names = [name for name in response["headers"] if name != "X-Request-ID"]
    links = [f'<a href="#header-{name}">{name}</a>' for name in names]
    return f"<br>Headers: {', '.join(links)}" if links else ""


def _schema(schema: Json) -> str:
    about = f"<p>{_prose(schema['description'])}</p>" if "description" in schema else ""
    if not schema.get("properties"):
        return f"{about}<p>{_type(schema)}</p>"
    required = schema.get("required", ())
    rows = (
        [
            f"<code>{name}</code>",
            _type(member) + ("" if name in required else ", optional"),
            _prose(member.get("description", "")),
        ]
        for name, member in schema["properties"].items()
    )
    others = schema.get("additionalProperties", True)
    rest = "" if others is False else f"<p>Further members: {_type(others)}</p>"
    return about + _table(["member", "type", "meaning"], rows) + rest


def _type(schema: Any) -> str:
    """In a few words, with links."""
    if schema is True:
        return "any"
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f'<a href="#schema-{name}">{name}</a>'
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(_type(one) for one in schema[choice])
    if "const" in schema:
        return f"<code>{_json(schema['const'])}</code>"
    if "enum" in schema:
        return ", ".join(f"<code>{escape(value)}</code>" for value in schema["enum"])
    kinds = schema["type"]
    words = escape(kinds if isinstance(kinds, str) else " or ".join(kinds))
    if "items" in schema:
        words += f" of {_type(schema['items'])}"
    elif schema.get("properties"):
        words = (
            "{"
            + ", ".join(
                f"<code>{name}</code>: {_type(one)}" for name, one in schema["properties"].items()
            )
            + "}"
        )
    elif not isinstance(schema.get("additionalProperties", True), bool):
        words += f" of {_type(schema['additionalProperties'])}"
    if "minimum" in schema:
        words += f" {schema['minimum']:,} to {schema['maximum']:,}"
    if "maxLength" in schema:
        words += f", {schema.get('minLength', 0)} to {schema['maxLength']:,} characters"
    if "pattern" in schema:
        words += f" <code>{escape(schema['pattern'])}</code>"
    if schema.get("default") is not None:
        words += f", default <code>{_json(schema['default'])}</code>"
    return words


def _resolve(schema: Json, components: Json) -> Json:
    if "$ref" not in schema:
        return schema
    kind, name = schema["$ref"].split("/")[-2:]
    found: Json = components[kind][name]
    return found


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    if head:
        head = f"<thead><tr>{head}</tr></thead>"
    return f'<table class="{kind}">{head}<tbody>{body}</tbody></table>'


def _anchored(kind: str, name: str) -> str:
    return f'<span id="{kind}-{name}"><code>{escape(name)}</code></span>'


def _example(value: Any) -> str:
    return escape(value, False) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return escape(
        text if len(text) < 100 else json.dumps(value, indent=2, ensure_ascii=False), False
    )


def _prose(text: str) -> str:
    """Escaped, with `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
