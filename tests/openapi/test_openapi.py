"""The documentation is whole, and of a form that readers, validators and generators can use."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis

from server.openapi.document import AREAS
from tests.api import Api
from tests.openapi import document, operations, unopened_app


def test_document_has_exactly_the_routes_of_the_app() -> None:
    of_app = {
        f"{method} /{re.sub(r'<(.+?)(:.*?)?>', _camel_case, route.path)}"
        for route in unopened_app().router.routes
        for method in route.methods
        if method != "OPTIONS" and "/v1/v1/" not in route.path  # these are second addresses
    }
    assert {label for label, _ in operations()} == of_app


def _camel_case(parameter: re.Match[str]) -> str:
    first, *rest = parameter[1].split("_")
    return "{" + first + "".join(word.title() for word in rest) + "}"


def test_routes_come_in_the_order_that_a_reader_needs() -> None:
    found = [(operation["tags"][0], operation["operationId"]) for _, operation in operations()]
    assert list(dict.fromkeys(area for area, _ in found)) == list(AREAS)
    names = [name for _, name in found]
    of_metering = ["readBalance", "readLedger", "charge", "hold", "settle"]
    assert [name for area, name in found if area == "Metering"] == of_metering
    assert names.index("greet") < names.index("checkLive") < names.index("readPage")
    assert names.index("readConfig") < names.index("grant") < names.index("listTenants")


def test_calls_say_which_refusals_are_final_always_or_at_times() -> None:
    for label, operation in operations():
        if "/v1/chat" in label or label.endswith("/v1/messages"):
            found = {
                status: reply["headers"].get("X-Should-Retry", {}).get("required", True)
                for status, reply in operation["responses"].items()
                if "X-Should-Retry" in reply["headers"]
            }
            always, at_times = ("401", "402", "403"), ("404", "429", "4XX", "502", "504")
            assert found == dict.fromkeys(always, True) | dict.fromkeys(at_times, False), label


def test_document_is_served(client: httpx.Client) -> None:
    reply = client.get("/docs/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == document()


def test_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(document()).validate()


def test_examples_agree_with_their_schemas() -> None:
    schemas = list(_schemas_with_examples(document()))
    for schema in schemas:
        validator = jsonschema_rs.validator_for(
            {**schema, "components": document()["components"]}, validate_formats=True
        )
        for example in schema["examples"]:
            validator.validate(example)
    assert len(schemas) > 100


def test_every_error_is_of_a_named_type_and_has_examples() -> None:
    """Refusals do not have a type each, of which clients would be generated."""
    errors = {f"#/components/schemas/{name}" for name in ("Error", "OpenAiError", "AnthropicError")}
    for label, operation in operations():
        for status, reply in operation["responses"].items():
            is_probe = label in ("GET /livez", "GET /readyz") and status == "503"
            if status < "400" or is_probe:
                continue
            media = reply["content"]["application/json"]
            schema = media["schema"]
            refs = [one["$ref"] for one in schema.get("oneOf", [schema])]
            assert set(refs) <= errors, label
            validator = jsonschema_rs.validator_for(
                {**schema, "components": document()["components"]}
            )
            assert media["examples"], label
            for example in media["examples"].values():
                validator.validate(example["value"])


def test_servers_and_licence_are_named() -> None:
    assert [server["url"] for server in document()["servers"]] == ["/"]
    assert document()["info"]["license"]["identifier"] == "Apache-2.0"


def _schemas_with_examples(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("examples"), list):
            yield value
        value = value.values()
    elif not isinstance(value, list):
        return
    for member in value:
        yield from _schemas_with_examples(member)


def test_every_json_body_has_an_example() -> None:
    schemas = document()["components"]["schemas"]
    for label, operation in operations():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (body.get("content", {}) for body in bodies):
            for media in (media for kind, media in content.items() if "json" in kind):
                name = media["schema"].get("$ref", "").rpartition("/")[2]
                assert media.get("examples") or schemas[name]["examples"], label


def test_bodies_have_names_that_generated_clients_can_use() -> None:
    for label, operation in operations():
        succeeded = [reply for status, reply in operation["responses"].items() if status < "300"]
        for body in (operation.get("requestBody", {}), *succeeded):
            schemas = [media["schema"] for media in body.get("content", {}).values()]
            assert all(schema.keys() == {"$ref"} for schema in schemas), label


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_the_list_of_models_is_refused_as_documented(api: Api, headers: dict[str, str]) -> None:
    """In the shape of the SDK that asks."""
    reply = api.get("/v1/models", headers)
    assert reply.status_code == 401
    documented = document()["paths"]["/{tenantId}/v1/models"]["get"]["responses"]["401"]
    schema = documented["content"]["application/json"]["schema"]
    jsonschema_rs.validator_for({**schema, "components": document()["components"]}).validate(
        reply.json()
    )


def test_lists_in_bodies_of_ours_have_examples() -> None:
    closed = [
        schema
        for schema in document()["components"]["schemas"].values()
        if schema.get("additionalProperties") is False
    ]
    members = [member for schema in closed for member in schema["properties"].values()]
    lists = [member for member in members if "items" in member]
    assert len(lists) > 3
    assert all(member["examples"][0] for member in lists)


def test_page_shows_every_route_and_needs_nothing_else(client: httpx.Client) -> None:
    reply = client.get("/docs")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    text = re.sub("<[^>]+>", "", reply.text)
    for label, operation in operations():
        assert label.replace(" ", "") in text
        assert operation["summary"] in text
    assert not re.search(r"<script|<link|<img|src=|url\(|href=\"(?![#/])", reply.text)
    targets = set(re.findall(r'href="#(.+?)"', reply.text))
    assert targets <= set(re.findall(r'id="(.+?)"', reply.text))
