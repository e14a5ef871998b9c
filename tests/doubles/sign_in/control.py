"""How the double is operated: POST to `<issuer>/double/<what>` with JSON, and get JSON.

| what | body | answer |
| --- | --- | --- |
| `client` | `{"client_id", "secret"}`; Apple's `team_id`, `key_id`, `public_key` instead of it | |
| `person` | claims of who signs in from now on at the page; `denies`: and then does not | |
| `code` | `{"client_id", "claims"}`: as a native SDK gets one | `{"code"}` |
| `age` | `{"seconds"}`: all codes are so much older | |
| `token` | `{"claims", "without", "header", "by", "secret"}`, see `_token` | `{"token"}` |
| `keys` | `{"how"}`: `rotate`, `replace` (same ID), `withdraw` (the old ones), `junk` | |
| `fault` | `{"of": "keys"}` and members of Fault; without any it is over | |
| `reset` | | |
| `seen` | | `{"asked", "revoked", "refresh_tokens"}` |
"""

import json
from typing import Any

from aiohttp import web

from tests.doubles.sign_in import tokens
from tests.doubles.sign_in.issuer import Client, Fault, Issuer


def add_control(app: web.Application, issuers: dict[str, Issuer]) -> None:
    async def operate(request: web.Request) -> web.Response:
        issuer = issuers[request.match_info["provider"]]
        body = json.loads(await request.read() or b"{}")
        return web.json_response(_DO[request.match_info["what"]](issuer, body) or {})

    app.router.add_post("/{provider}/double/{what}", operate)


def _client(issuer: Issuer, body: dict[str, Any]) -> None:
    client_id = body.pop("client_id")
    issuer.clients[client_id] = Client(**body)


def _person(issuer: Issuer, body: dict[str, Any]) -> None:
    issuer.person = body


def _code(issuer: Issuer, body: dict[str, Any]) -> dict[str, Any]:
    return {"code": issuer.make_code(body["client_id"], body.get("claims", {}))}


def _age(issuer: Issuer, body: dict[str, Any]) -> None:
    issuer.ahead += body["seconds"]


def _token(issuer: Issuer, body: dict[str, Any]) -> dict[str, Any]:
    """`claims` are added to the usual ones, or are a text that is all of them; those that are in
    `without` are left out; `header` is added, null removes. It is signed `by` the newest key
    (RS256), by `old`, which is the oldest, by a `stranger`'s, by `secret` or `public key` (HS256),
    or `nothing`.
    """
    claims, by = body.get("claims", {}), body.get("by", "newest")
    if isinstance(claims, dict):
        claims = issuer.claims("", **claims)
        claims = {key: value for key, value in claims.items() if key not in body.get("without", ())}
    key_id, number = list(issuer.keys.items())[0 if by == "old" else -1]
    algorithm = {"secret": "HS256", "public key": "HS256", "nothing": "none"}.get(by, "RS256")
    header = {"alg": algorithm, "kid": key_id, "typ": "JWT", **body.get("header", {})}
    header = {key: value for key, value in header.items() if value is not None}
    if by == "nothing":
        return {"token": tokens.without_signature(header, claims)}
    if by in ("secret", "public key"):
        secret = body["secret"].encode() if by == "secret" else tokens.public_pem(number)
        return {"token": tokens.with_hmac(header, claims, secret)}
    signer = tokens.STRANGER if by == "stranger" else number
    return {"token": tokens.signed(header, claims, signer)}


def _keys(issuer: Issuer, body: dict[str, Any]) -> None:
    issuer.change_keys(body["how"])


def _fault(issuer: Issuer, body: dict[str, Any]) -> None:
    of = body.pop("of")
    issuer.faults[of] = Fault(**body)


def _reset(issuer: Issuer, _: dict[str, Any]) -> None:
    """As new, at the same URL."""
    issuer.__dict__.update(Issuer(issuer.name, issuer.url).__dict__)


def _seen(issuer: Issuer, _: dict[str, Any]) -> dict[str, Any]:
    return {
        "asked": issuer.asked,
        "revoked": issuer.revoked,
        "refresh_tokens": issuer.refresh_tokens,
    }


_DO = {
    "client": _client,
    "person": _person,
    "code": _code,
    "age": _age,
    "token": _token,
    "keys": _keys,
    "fault": _fault,
    "reset": _reset,
    "seen": _seen,
}
