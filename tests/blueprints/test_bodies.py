"""Bodies that are broken, huge, deep or wrong: each has its answer, and nothing changes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import httpx
import orjson
import pytest

from tests.api import ADMIN, Api, User, config

MIB = 1024 * 1024
DEEP = 100_000


@dataclass
class Route:
    """One route that takes a body, and how to see whether it changed anything."""

    send: Callable[[bytes | Iterator[bytes]], httpx.Response]
    state: Callable[[], object]


def _route(name: str, api: Api, user: User) -> Route:
    method, path, headers = {
        "charges": ("POST", f"/{api.tenant_id}/charges", user.headers),
        "holds": ("POST", f"/{api.tenant_id}/holds", user.headers),
        "grants": ("POST", f"/{api.tenant_id}/admin/users/{user.user_id}/grants", ADMIN),
        "config": ("PUT", f"/{api.tenant_id}/admin/config", ADMIN),
        "tenants": ("POST", "/tenants", ADMIN),
    }[name]

    def send(body: bytes | Iterator[bytes]) -> httpx.Response:
        return api.client.request(method, path, content=body, headers=headers)

    def state() -> object:
        stored = api.get("/admin/config", ADMIN)
        # Other tests make tenants of their own meanwhile, none of these names.
        tenants = api.client.get("/tenants", headers=ADMIN).json()["tenants"]
        ours = [tenant_id for tenant_id in tenants if tenant_id.startswith(("bad", api.tenant_id))]
        return user.balance(), stored.json(), stored.headers["etag"], ours

    return Route(send, state)


@pytest.fixture(params=["charges", "holds", "grants", "config", "tenants"])
def route(request: pytest.FixtureRequest, api: Api) -> Iterator[Route]:
    """Any of the routes; after the test, what it could change must be as before."""
    route = _route(request.param, api, api.login())
    before = route.state()
    yield route
    assert route.state() == before


NOT_JSON = [
    # Truncated, or more than one value.
    b"{",
    b'{"tokens"',
    b'{"tokens":',
    b'{"tokens": 5',
    b'{"tokens": "5',
    b'{"tokens": 5} x',
    b"{}{}",
    b"}",
    b" ",
    b"\r\n",
    b"\x00",
    b"tokens=5",
    b"{'tokens': 5}",
    b"{tokens: 5}",
    b'{"tokens": 5,}',
    b'{"tokens": 5} // five',
    b'{"tokens": "\n"}',
    b'{"tokens": True}',
    # Numbers that are none in JSON.
    *(
        b'{"tokens": ' + number + b"}"
        for number in (
            *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"05", b"+5", b".5", b"5."),
            *(b"0x5", b"1e", b"--5", b"5_0", b"5n", b"\xd9\xa5"),
        )
    ),
    # Not UTF-8, or no characters.
    b"\xff",
    b"\xef\xbb\xbf{}",
    '{"tokens": 5}'.encode("utf-16"),
    '{"tokens": 5}'.encode("utf-32-le"),
    b'{"tokens": "\xff"}',
    b'{"\xc3": 5}',
    b'{"tokens": "\xc0\xaf"}',
    b'{"tokens": "\xed\xa0\x80"}',
    b'{"tokens": "\\ud800"}',
    b'{"tokens": "\\udc00\\ud800"}',
    b'{"\\ud800": 5}',
    # Deep.
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP,
    b'{"a":' * DEEP + b"5" + b"}" * DEEP,
    b'{"config":' + b"[" * DEEP + b"]" * DEEP + b"}",
    # Not an object.
    *(b"[]", b"5", b'"x"', b"null", b"true", b'[{"tokens": 5}]'),
]


def test_what_is_no_json_object_is_400(route: Route) -> None:
    for body in NOT_JSON:
        reply = route.send(body)
        assert (reply.status_code, reply.json()) == (400, {"error": "Invalid JSON"}), body[:40]


@pytest.mark.parametrize("size", [MIB + 1, 5 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_1_mib_is_413(route: Route, size: int, chunked: bool) -> None:
    body = b" " * (size - 2) + b"{}"
    pieces = (body[start : start + 65_536] for start in range(0, size, 65_536))
    reply = route.send(pieces if chunked else body)
    assert (reply.status_code, reply.json()) == (413, {"error": "Payload Too Large"})


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_1_mib_is_read(api: Api, chunked: bool) -> None:
    user = api.login()
    body = b" " * (MIB - 13) + b'{"tokens": 5}'
    assert len(body) == MIB
    reply = _route("charges", api, user).send(iter([body]) if chunked else body)
    assert (reply.status_code, reply.json()) == (200, {"tokensLeft": 95})


WRONG = [
    *(b'{"tokens": null}', b'{"tokens": "5"}', b'{"tokens": true}', b'{"tokens": false}'),
    *(b'{"tokens": []}', b'{"tokens": [5]}', b'{"tokens": {}}', b'{"tokens": ""}'),
    *(b'{"tokens": 0}', b'{"tokens": -0}', b'{"tokens": -1}', b'{"tokens": -10000000000001}'),
    *(b'{"tokens": 5.0}', b'{"tokens": 0.5}', b'{"tokens": 5e0}', b'{"tokens": 1e300}'),
    *(
        b'{"tokens": %d}' % number
        for number in (10**13 + 1, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**64))
    ),
    b'{"tokens": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    b'{"Tokens": 5}',
    b'{"tokens": 5, "token": 5}',
    b'{"tokens": 5, "": 5}',
    b'{"tokens": 5, "__proto__": {}}',
    b'{"tokens": 5, "%s": 5}' % (b"x" * 100_000),
]


@pytest.mark.parametrize("name", ["charges", "holds", "grants"])
def test_wrong_tokens_are_422(api: Api, name: str) -> None:
    user = api.login()
    route = _route(name, api, user)
    before = route.state()
    for body in WRONG:
        reply = route.send(body)
        assert reply.status_code == 422, body[:40]
        found = reply.json()
        assert set(found) == {"error", "details"}
        assert found["details"], body[:40]
        assert all(set(detail) == {"path", "message"} for detail in found["details"])
        assert len(reply.content) < 1000
    assert route.state() == before


def test_every_unknown_member_is_named(api: Api) -> None:
    reply = _route("charges", api, api.login()).send(b'{"a": 1, "tokens": 5, "b": 2}')
    assert [detail["path"] for detail in reply.json()["details"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "charged"),
    [
        (b"", 1),
        (b"{}", 1),
        (b' \t\r\n{ "tokens" : 5 }\r\n', 5),
        (b'{"\\u0074okens": 5}', 5),
        (b'{"tokens": 5, "tokens": 6}', 6),  # the last, as in JavaScript, and only that
        (b'{"tokens": "x", "tokens": 6}', 6),
    ],
)
def test_a_charge_of_an_odd_but_valid_body(api: Api, body: bytes, charged: int) -> None:
    reply = _route("charges", api, api.login()).send(body)
    assert (reply.status_code, reply.json()) == (200, {"tokensLeft": 100 - charged})


def test_the_largest_charge_is_402_not_422(api: Api) -> None:
    reply = _route("charges", api, api.login()).send(b'{"tokens": 10000000000000}')
    assert reply.json() == {"error": "Payment Required", "tokensLeft": 100}


def test_a_wrong_config_is_422(api: Api) -> None:
    route = _route("config", api, api.login())
    before = route.state()
    tenant = _route("tenants", api, api.login())
    for value in (
        *(b"null", b"5", b'"x"', b"[]", b"{}", b"true"),
        *(
            orjson.dumps(config()).replace(b'"tokens":100', b'"tokens":' + tokens)
            for tokens in (b"-1", b"5.0", b'"5"', b"true", b"null", b"10000000000001", b"1e300")
        ),
        *(
            orjson.dumps(config()).replace(b'"tokens":100', b'"tokens":%d' % tokens)
            for tokens in (2**63, 2**64, -(2**63), -(2**64))
        ),
        orjson.dumps(config())[:-1] + b',"deep":' + b"[" * 1000 + b"]" * 1000 + b"}",
        orjson.dumps(config())[:-1] + b',"deep":' + b'{"a":' * 300 + b"1" + b"}" * 301,
    ):
        for reply in (
            route.send(b'{"config": ' + value + b"}"),
            tenant.send(b'{"tenantId": "bad-%s", "config": ' % uuid4().hex.encode() + value + b"}"),
        ):
            assert reply.status_code == 422, value[:200]
            assert reply.json()["details"], value[:200]
    for body in (b"", b"{}", b'{"Config": {}}', b'{"config": {}, "more": 1}'):
        assert route.send(body).status_code == 422
        assert tenant.send(body).status_code == 422
    assert route.state() == before
