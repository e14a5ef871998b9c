"""Apple's endpoints."""

import json
from html import escape
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.doubles.sign_in.issuer import Issuer
from tests.doubles.sign_in.serving import asks, error, form_of, id_token

_PAGE = """<!doctype html><title>Apple</title>
<body onload="document.forms[0].submit()"><form method="post" action="{action}">{fields}
<button>Continue</button></form>"""


def add_apple(app: web.Application, issuer: Issuer) -> None:
    @asks(issuer, "keys")
    async def keys(_: web.Request) -> dict[str, Any]:
        return issuer.jwks()

    @asks(issuer, "authorize")
    async def authorize(request: web.Request) -> web.Response:
        """A page that posts to the app, as if the person had agreed at once."""
        query = request.query
        fixed = {"response_type": "code", "response_mode": "form_post"}
        if not fixed.items() <= dict(query).items() or query.get("client_id") not in issuer.clients:
            raise web.HTTPBadRequest(text="The request is not whole")
        client_id, redirect_uri = query["client_id"], query["redirect_uri"]
        person = dict(issuer.person)
        name = person.pop("name", None)
        fields = {"state": query["state"]}
        if person.get("denies"):
            fields["error"] = "user_cancelled_authorize"
        else:
            claims = {**person, "nonce": query.get("nonce"), "nonce_supported": True}
            fields["code"] = issuer.make_code(client_id, claims, redirect_uri)
            who = (client_id, person.get("sub", "ada"))
            if name and who not in issuer.known:  # once, and never again
                first, _, last = name.partition(" ")
                named = {"firstName": first, "lastName": last}
                fields["user"] = json.dumps({"name": named, "email": person.get("email")})
            issuer.known.add(who)
        inputs = "".join(
            f'<input type="hidden" name="{key}" value="{escape(value)}">'
            for key, value in fields.items()
        )
        page = _PAGE.format(action=escape(redirect_uri), fields=inputs)
        return web.Response(text=page, content_type="text/html")

    @asks(issuer, "token")
    async def token(request: web.Request) -> web.Response | dict[str, Any]:
        code = issuer.take_code(await form_of(request))
        if isinstance(code, str):
            return error(code)
        refresh_token = f"r.{uuid4().hex}"
        issuer.refresh_tokens[refresh_token] = code.client_id
        return {
            "access_token": f"a.{uuid4().hex}",
            "expires_in": 3600,
            "token_type": "Bearer",
            "refresh_token": refresh_token,
            "id_token": id_token(issuer, code.client_id, code.claims),
        }

    @asks(issuer, "revoke")
    async def revoke(request: web.Request) -> web.Response:
        """200 to any token, as from the real one."""
        form = await form_of(request)
        client_id, given = form.get("client_id", ""), form.get("token", "")
        if not issuer.is_client(client_id, form.get("client_secret", "")):
            return error("invalid_client")
        issuer.revoked.append({"client_id": client_id, "token": given})
        if issuer.refresh_tokens.get(given) == client_id:
            del issuer.refresh_tokens[given]
        return web.Response()

    app.router.add_get("/apple/auth/keys", keys)
    app.router.add_get("/apple/auth/authorize", authorize)
    app.router.add_post("/apple/auth/token", token)
    app.router.add_post("/apple/auth/revoke", revoke)
