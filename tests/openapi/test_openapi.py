"""The documentation says what the server does: its routes, and how each of them answers."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jsonschema_rs
import orjson
import pytest
import schemathesis
from schemathesis.engine import events, from_schema

from server.openapi.document import AREAS
from tests.api import ADMIN, Api, config
from tests.doubles import Double
from tests.endpoints import endpoint, text_config
from tests.openapi import document, unopened_app
from tests.processes import ADMIN_TOKEN, Server, Valkey

METHODS = {"get", "put", "post", "delete", "patch", "head"}

# What a schema cannot say may make a valid body 422: which groups and endpoints there are, which
# Idempotency-Key was used before. A 400 for valid data is a fault.
MAY_REFUSE = ["2xx", "401", "402", "404", "409", "412", "422", "429"]
# But for what is the provider's to accept, and what cannot be translated.
CALLS = ["chat", "message"]


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its label, as in `GET /docs`."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


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
        if "/v1/chat" in label or "/v1/messages" in label:
            found = {
                status: reply["headers"].get("X-Should-Retry", {}).get("required", True)
                for status, reply in operation["responses"].items()
                if "X-Should-Retry" in reply["headers"]
            }
            always, at_times = ("401", "402"), ("404", "429", "502", "504")
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
            for schema in (media["schema"] for kind, media in content.items() if "json" in kind):
                named = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
                assert named["examples"], label


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


class Pins:
    """Keeps generated requests to what this test made: no other tenant, user or key is touched.

    A value that does not match its documented pattern goes out as it is, to be refused.
    """

    def __init__(self, api: Api) -> None:
        self.api = api
        self.user = api.login()
        # Whatever config is stored there: the one tenant keeps its own.
        self.replaced = Api.new_tenant(api.client)
        assert self.user.grant({"tokens": 10**9}).status_code == 200
        hold = api.post("/holds", {"tokens": 5, "ttl": 3600}, self.user.headers)
        self.hold_id = str(hold.json()["holdId"])
        self.patterns: dict[str, str] = {
            name: parameter["schema"]["pattern"]
            for name, parameter in document()["components"]["parameters"].items()
            if parameter["in"] == "path"
        }

    def pin(self, case: schemathesis.Case[Any]) -> None:
        name = case.operation.definition.raw.get("operationId", "")
        for parameter, value in dict(case.path_parameters).items():
            if re.search(self.patterns[parameter], str(value)):
                case.path_parameters[parameter] = self._own(parameter, name)
        if name == "createTenant" and isinstance(case.body, dict):
            tenant_id = case.body.get("tenantId")
            if isinstance(tenant_id, str) and re.search(self.patterns["tenantId"], tenant_id):
                case.body["tenantId"] = _new_tenant_id()

    def _own(self, parameter: str, operation: str) -> str:
        if parameter == "userId":
            return self.user.user_id
        if parameter == "holdId":
            return self.hold_id
        if parameter == "apiKey":  # to be revoked
            return self.api.login().api_key
        if operation == "deleteTenant":
            return Api.new_tenant(self.api.client).tenant_id
        return (self.replaced if operation == "replaceConfig" else self.api).tenant_id


def _new_tenant_id() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def gateway(valkey: Valkey, tmp_path: Path) -> Iterator[Server]:
    output = tmp_path / "out"
    with Server(output, REDIS_URL=valkey.url, WORKERS="2", ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server


@pytest.fixture
def pins(gateway: Server) -> Iterator[Pins]:
    """Of a tenant with endpoints for the models of the examples, of both protocols."""
    with Double() as double, httpx.Client(base_url=gateway.url, timeout=10) as client:
        endpoints = {
            "openai": endpoint(double.url, default_model="gpt-4o"),
            "anthropic": endpoint(
                double.url, "anthropic", default_model="claude-3-opus-20240229", weight=3
            ),
        }
        yield from _hooked(Pins(Api.new_tenant(client, text_config(endpoints))))


def _hooked(pins: Pins) -> Iterator[Pins]:

    def before_call(_: Any, case: schemathesis.Case[Any], __: Any) -> None:
        pins.pin(case)

    schemathesis.hook(before_call)
    yield pins
    schemathesis.hooks.unregister(before_call)


def test_server_answers_as_documented(gateway: Server, pins: Pins) -> None:
    """Generated requests, good and bad, to every route: statuses, headers and bodies are those of
    the document, bad data and bad credentials are refused, nothing is a 5xx."""
    client = pins.api.client
    before = client.get("/abc/admin/config", headers=ADMIN)
    key = pins.user.api_key
    settings = schemathesis.Config.from_dict(
        {
            "base-url": gateway.url,
            "continue-on-failure": True,
            # Hypothesis in several threads fails in Python 3.11 (AST constructor recursion depth).
            "workers": 1,
            "output": {"sanitization": {"enabled": False}},
            "generation": {"deterministic": True, "max-examples": 10, "no-shrink": True},
            "checks": {"positive_data_acceptance": {"expected-statuses": MAY_REFUSE}},
            "operations": [
                {
                    "include-operation-id": CALLS,
                    "checks": {
                        "positive_data_acceptance": {"expected-statuses": [*MAY_REFUSE, "400"]}
                    },
                }
            ],
            "auth": {
                "openapi": {
                    "apiKey": {"bearer": key},
                    "apiKeyHeader": {"api_key": key},
                    "adminToken": {"bearer": ADMIN_TOKEN},
                }
            },
        }
    )
    seen, faults = run(schemathesis.openapi.from_dict(document(), config=settings))
    assert not faults, "\n\n".join(faults)
    for label, operation in operations():
        success = {
            (int(status), media_type)
            for status, reply in operation["responses"].items()
            for media_type in reply.get("content", [""])
            if status < "300"
        }
        assert success <= seen[label], f"{label} never succeeded: {seen[label]}"
    after = client.get("/abc/admin/config", headers=ADMIN)
    assert after.json() == before.json()


@pytest.mark.parametrize(("depth", "status"), [(200, 200), (300, 422), (1000, 422), (2000, 400)])
def test_config_nested_deeper_than_generated_ones(api: Api, depth: int, status: int) -> None:
    text = orjson.dumps({"config": config()}).decode()
    text = text.replace('"auth":{}', '"auth":' + '{"x":' * depth + "1" + "}" * depth)
    reply = api.client.put(f"/{api.tenant_id}/admin/config", content=text, headers=ADMIN)
    assert reply.status_code == status


def run(
    schema: schemathesis.BaseSchema,
) -> tuple[dict[str, set[tuple[int, str]]], list[str]]:
    """The statuses that each operation answered, with the bodies' types, and what is wrong."""
    seen: dict[str, set[tuple[int, str]]] = defaultdict(set)
    faults: dict[str, str] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            faults[event.label] = f"{event.label}: {event.value}"
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            recorder = event.recorder
            for case_id, interaction in recorder.interactions.items():
                label = recorder.cases[case_id].value.operation.label
                if interaction.response is not None:
                    [kind] = interaction.response.headers.get("content-type", [""])
                    seen[label].add((interaction.response.status_code, kind.split(";")[0]))
            for check in (check for checks in recorder.checks.values() for check in checks):
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    faults[f"{check.name} {failure.operation}"] = (
                        f"{failure.operation}, {check.name}: {failure.message}\n"
                        f"{check.failure_info.code_sample}"
                    )
    return seen, list(faults.values())
