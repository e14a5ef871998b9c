"""The server answers as the documentation says, whatever it is asked."""

import re
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import schemathesis
import stripe
from schemathesis.engine import events, from_schema

from server.blueprints.sign_in import NONCE
from server.login_providers.pkce import VERIFIER
from tests.api import ADMIN, Api, config
from tests.doubles import Double
from tests.doubles.sign_in import SignInDouble
from tests.doubles.stripe_api import StripeDouble
from tests.doubles.ultravox import UltravoxDouble
from tests.endpoints import endpoint, text_config
from tests.login_providers.trip import HOME, PUBLIC_URL, Trip
from tests.openapi import document, operations
from tests.processes import ADMIN_TOKEN, Server, Valkey
from tests.stored import now_ms

# What a schema cannot say may make a valid body 422: which groups and endpoints there are, which
# Idempotency-Key was used before. A 400 for valid data is a fault.
MAY_REFUSE = ["2xx", "303", "401", "402", "404", "409", "412", "422", "429"]
# But for what is the provider's to accept, what cannot be translated, and what login providers say.
MAY_BE_400 = [
    *("chat", "message", "respond", "countTokens", "makeModeration", "embed"),
    *("makeClientSecret", "comeBackFromGoogle", "comeBackFromApple"),
]
ENDS = ["logOut", "deleteMe"]
"""Which end the key or the user that they come with."""
PAID = "https://app.example.com/paid"
"""Where the examples of buying come back to."""
SIGNED = "POST /{tenantId}/stripe/webhook"
"""No generated request is signed, and this tenant has no secret: tests/shop/test_events.py."""
FAULTY = (
    *("Invalid config", "Invalid grant", "Invalid tenant", "Unknown group"),
    "This tenant has no such endpoint for calls",
)
"""What is said beside `details`, where the document shows `Invalid request`; and of what there is
none, where it shows another model."""


class Pins:
    """Keeps generated requests to what this test made: no other tenant, user or key is touched.

    A value that does not match its documented pattern goes out as it is, to be refused.
    """

    def __init__(self, api: Api, tokens: dict[str, tuple[str, str]]) -> None:
        """`tokens`: which member of a body has one of a login provider's, and a good one, by
        operation."""
        self.api = api
        self.tokens = tokens
        self.user = api.login()
        # Whatever config is stored there: the one tenant keeps its own.
        self.replaced = Api.new_tenant(api.client)
        assert self.user.grant({"tokens": 10**9}).status_code == 200
        hold = api.post("/holds", {"tokens": 5, "ttl": 3600}, self.user.headers)
        self.hold_id = str(hold.json()["holdId"])
        made = api.post("/keys", {"tokens": 5}, self.user.headers)
        self.key_id = str(made.json()["keyId"])
        called = api.post("/realtime/calls", {}, self.user.headers)
        self.call_id = str(called.json()["callId"])
        self.response_ids = [self._respond() for _ in range(3)]
        """Kept by the provider."""
        self.patterns: dict[str, str] = {
            name: parameter["schema"].get("pattern", "")
            for name, parameter in document()["components"]["parameters"].items()
            if parameter["in"] == "path"
        }

    def _respond(self) -> str:
        asked = {"model": "gpt-4o", "input": "Hi", "store": True}
        reply = self.api.post("/v1/responses", asked, self.user.headers)
        return str(reply.json()["id"])

    def pin(self, case: schemathesis.Case[Any]) -> None:
        name = case.operation.definition.raw.get("operationId", "")
        for parameter, value in dict(case.path_parameters).items():
            if re.search(self.patterns[parameter], str(value)):
                case.path_parameters[parameter] = self._own(parameter, name)
        if name in self.tokens and isinstance(case.body, dict):
            member, token = self.tokens[name]
            if isinstance(case.body.get(member), str) and case.body[member]:
                case.body[member] = token
        if name in ("startWithGoogle", "startWithApple") and case.query.get("redirectUri"):
            case.query["redirectUri"] = HOME
        if name == "exchangeCode" and isinstance(case.body, dict):
            self._pin_code(case.body)
        # With a key of their own: they end it.
        if (
            name in ("logOut", "deleteMe")
            and self.user.headers.items() <= dict(case.headers).items()
        ):
            case.headers.update(self.api.login().headers)
        if name == "createTenant" and isinstance(case.body, dict):
            tenant_id = case.body.get("tenantId")
            if isinstance(tenant_id, str) and re.search(self.patterns["tenantId"], tenant_id):
                case.body["tenantId"] = _new_tenant_id()

    def _pin_code(self, body: dict[str, Any]) -> None:
        """One that is good for the verifier, if that is."""
        code, verifier = body.get("code"), body.get("codeVerifier")
        is_good = isinstance(verifier, str) and VERIFIER.fullmatch(verifier)
        if is_good and isinstance(code, str) and 0 < len(code) <= 100:
            trip = Trip(self.api)
            trip.verifier = str(verifier)
            body["code"] = trip.code()

    def _own(self, parameter: str, operation: str) -> str:
        if parameter == "userId":
            return self.user.user_id
        if parameter == "holdId":
            return self.hold_id
        if parameter == "keyId":
            return self.key_id
        if parameter == "callId":
            return self.call_id
        if parameter == "modelId":
            return "gpt-4o"
        if parameter == "token":  # of a callback, all of which are answered alike
            return "any"
        if parameter == "responseId":
            ends = operation == "deleteResponse" and len(self.response_ids) > 1
            return self.response_ids.pop() if ends else self.response_ids[0]
        if parameter == "apiKey":  # to be revoked
            return self.api.login().api_key
        if operation == "deleteTenant":
            return Api.new_tenant(self.api.client).tenant_id
        return (self.replaced if operation == "replaceConfig" else self.api).tenant_id


def _new_tenant_id() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def sign_in() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        yield double


@pytest.fixture
def stripe_double() -> Iterator[StripeDouble]:
    with StripeDouble() as double:
        yield double


@pytest.fixture
def gateway(
    valkey: Valkey, sign_in: SignInDouble, stripe_double: StripeDouble, tmp_path: Path
) -> Iterator[Server]:
    settings = {"PUBLIC_URL": PUBLIC_URL, "STRIPE_URL": stripe_double.url, **sign_in.settings}
    output = tmp_path / "out"
    with Server(output, wait=True, REDIS_URL=valkey.url, WORKERS="2", **settings) as server:
        yield server


@pytest.fixture
def pins(
    gateway: Server, sign_in: SignInDouble, stripe_double: StripeDouble, valkey: Valkey
) -> Iterator[Pins]:
    """Of a tenant with endpoints for the models of the examples, of both protocols, and whose users
    sign in and buy."""
    with (
        Double() as double,
        UltravoxDouble() as ultravox,
        httpx.Client(base_url=gateway.url, timeout=10) as client,
    ):
        endpoints = {
            "openai": endpoint(
                double.url,
                default_model="gpt-4o",
                responses_url=f"{double.url}/v1/responses",
                moderations_url=f"{double.url}/v1/moderations",
                allow=["store"],
            ),
            "anthropic": endpoint(
                double.url, "anthropic", default_model="claude-3-opus-20240229", weight=3
            ),
        }
        value = text_config(endpoints)
        of_calls = {"url": f"{ultravox.url}/api/calls", "api_key": "any"}
        of_sessions = {"model": "gpt-realtime-2.1"}
        voice = {"endpoints": {"voice": of_sessions, "ultravox": of_calls}}
        value["providers"]["realtime"] = voice
        embedder = {
            "url": f"{double.url}/v1/embeddings",
            "api_key": "any",
            "default_model": "text-embedding-3-small",
        }
        value["providers"]["embeddings"] = {"endpoints": {"embedder": embedder}}
        client_ids = {"client_id": "app", "client_secret": "secret"}
        value["auth"] = {f"{name}_oauth": client_ids for name in ("google", "apple")}
        value["auth"]["redirect_uris"] = [HOME, PAID]
        sign_in.google.client("app", secret="secret")
        value["user_groups"]["google_logged_in"] = value["user_groups"]["paid"]
        value["auth"]["stripe"] = sold(stripe_double)
        value["user_groups"]["stripe_basic"] = value["user_groups"]["paid"]
        # With the nonce of the examples.
        tokens = {
            "signInWithGoogle": ("idToken", sign_in.google.token(aud="app", nonce=NONCE)),
            "signInWithApple": ("idToken", sign_in.apple.token(aud="app", nonce=NONCE)),
            "hear": ("payload", sign_in.apple.notification("app", "consent-revoked", "nobody")),
        }
        pins = Pins(Api.new_tenant(client, value), tokens)
        of_user = f"{{user:{pins.user.user_id}}}:account"
        known = {"identity:google:00": "1 1", f"key:{pins.user.api_key}": str(now_ms(valkey))}
        valkey.client.hset(of_user, mapping=known)  # type: ignore[arg-type]
        yield from _hooked(pins)


def sold(double: StripeDouble) -> dict[str, Any]:
    """The plan and the pack of the examples, at a new account."""
    account = double.account(f"sk_test_{uuid4().hex}")
    stripe_client = stripe.StripeClient(
        account.api_key, base_addresses={"api": double.url}, http_client=stripe.RequestsClient()
    )
    api: Any = stripe_client.v1
    product = api.products.create({"name": "Any"}).id
    price: Any = {"currency": "usd", "unit_amount": 500, "product": product}
    monthly: Any = {"recurring": {"interval": "month"}, "lookup_key": "stripe_basic"}
    api.prices.create(price | monthly)
    pack = api.prices.create(price).id
    return {"api_key": account.api_key, "packs": {"small": {"price": pack, "tokens": 10_000}}}


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
                # It reads no body where its tenant has no challenge, as here; and these need none.
                {
                    "include-operation-id": ["logIn", *ENDS],
                    "checks": {"negative_data_rejection": {"enabled": False}},
                },
                {
                    "include-operation-id": ["realtime"],
                    "checks": {
                        "positive_data_acceptance": {
                            "expected-statuses": [*MAY_REFUSE, "400", "426"]
                        }
                    },
                },
                {
                    "include-operation-id": MAY_BE_400,
                    "checks": {
                        "positive_data_acceptance": {"expected-statuses": [*MAY_REFUSE, "400"]}
                    },
                },
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
    # It writes links into what it is given.
    schema = schemathesis.openapi.from_dict(deepcopy(document()), config=settings)
    seen, faults = run(schema)
    assert not faults, "\n\n".join(faults)
    for label, operation in operations():
        success = {
            (int(status), media_type)
            for status, reply in operation["responses"].items()
            for media_type in reply.get("content", [""])
            if "200" <= status < "300"  # 101 is for WebSockets
        }
        if label != SIGNED:
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
                    if fault := undocumented(label, interaction.response):
                        faults[fault] = fault
            for check in (check for checks in recorder.checks.values() for check in checks):
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    faults[f"{check.name} {failure.operation}"] = (
                        f"{failure.operation}, {check.name}: {failure.message}\n"
                        f"{check.failure_info.code_sample}"
                    )
    return seen, list(faults.values())


def undocumented(label: str, reply: schemathesis.Response) -> str:
    """A refusal in our own shape that no example of its status shows; else ''."""
    if reply.status_code < 400 or not reply.content.startswith(b'{"error":"'):
        return ""
    method, path = label.split()
    documented = document()["paths"][path][method.lower()]["responses"]
    status = str(reply.status_code)
    if status not in documented:  # of any path, or for another check to say
        return ""
    media = documented[status]["content"]["application/json"]
    shown = [example["value"] for example in media["examples"].values()]
    said = reply.json()
    # The words that faults are summed up in are many.
    found = any(
        said.keys() - {"more", "tokensHeld"} == one.keys()
        and said["error"] in (one["error"], *FAULTY)
        for one in shown
    )
    return "" if found else f"{label}, {status}: {said} is not among {shown}"
