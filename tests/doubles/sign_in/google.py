"""Google's endpoints."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.doubles.sign_in.issuer import Issuer
from tests.doubles.sign_in.serving import asks, error, form_of, id_token

_REQUIRED = ("client_id", "redirect_uri", "state", "nonce", "code_challenge")


def add_google(app: web.Application, issuer: Issuer) -> None:
    @asks(issuer, "discovery")
    async def discover(_: web.Request) -> dict[str, Any]:
        url = issuer.url
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    @asks(issuer, "keys")
    async def keys(_: web.Request) -> dict[str, Any]:
        return issuer.jwks()

    @asks(issuer, "authorize")
    async def authorize(request: web.Request) -> web.Response:
        """As if the person had agreed at once."""
        query = request.query
        fixed = {"response_type": "code", "code_challenge_method": "S256"}
        if not fixed.items() <= dict(query).items() or not all(map(query.get, _REQUIRED)):
            raise web.HTTPBadRequest(text="The request is not whole")
        if query["client_id"] not in issuer.clients or "openid" not in query.get("scope", ""):
            raise web.HTTPBadRequest(text="The client or the scope is unknown")
        answer = {"state": query["state"], "iss": issuer.url}
        if issuer.person.get("denies"):
            answer["error"] = "access_denied"
        else:
            claims = {**issuer.person, "nonce": query["nonce"]}
            answer["code"] = issuer.make_code(
                query["client_id"], claims, query["redirect_uri"], query["code_challenge"]
            )
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(answer)}")

    @asks(issuer, "token")
    async def token(request: web.Request) -> web.Response | dict[str, Any]:
        code = issuer.take_code(await form_of(request))
        if isinstance(code, str):
            return error(code)
        claims = {"azp": code.client_id, **code.claims}
        return {
            "access_token": "ya29.double",
            "expires_in": 3599,
            "token_type": "Bearer",
            "scope": "openid email profile",
            "id_token": id_token(issuer, code.client_id, claims),
        }

    app.router.add_get("/google/.well-known/openid-configuration", discover)
    app.router.add_get("/google/keys", keys)
    app.router.add_get("/google/authorize", authorize)
    app.router.add_post("/google/token", token)
