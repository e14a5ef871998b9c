"""What the handlers ask of a request: its tenant, its credentials, its body."""

import hmac
import re
from collections.abc import Mapping
from functools import cache
from time import monotonic
from typing import Annotated, Any, NoReturn, TypeVar, get_args

import orjson
from pydantic import Field

from server import metrics
from server.amounts import LARGEST, is_amount
from server.blueprints import body, cors
from server.blueprints.client_address import client_network
from server.blueprints.form import fields_of
from server.errors import (
    BadRequest,
    Detail,
    Invalid,
    InvalidAdminToken,
    InvalidApiKey,
    OriginNotAllowed,
    TooManyFaults,
)
from server.gateway.room import SMALL_REQUEST_BYTES
from server.http import StrictHttp, StrictRequest
from server.identity.errors import KeyNotAllowed
from server.identity.restricted import is_restricted
from server.metering.limited import LimitedMeter
from server.metering.meter import Meter
from server.openapi.route import Parameter
from server.openapi.values import exactly
from server.protocol import StrictProtocol
from server.replies import JsonReply, Reply
from server.services import Services
from server.tenants.tenants import Tenant
from server.who import Ref, Who

_STRANGERS, _ADMINISTRATORS = " strangers", " administrators"
"""What no tenant is called: who shares the room for bodies as if they were one."""
GONE = 499
"""The status that the metrics have for a request whose client left before the reply, as nginx has
in its log."""
_PIECE_BYTES = 64 * 1024
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    Annotated[
        str,
        Field(
            pattern=exactly(_IDEMPOTENCY_KEY),
            description="the first reply to a request with this key is kept for 24 hours and then "
            "repeated; at most 1,000 are kept, an anonymous user's 120",
            examples=["order-1093"],
        ),
    ],
)

_Body = TypeVar("_Body")


class Request(StrictRequest):
    # Not in Sanic's `ctx`, which is a property that makes an object at its first use.
    tenant: Tenant
    """Of a `/:tenantId/...` route, as loaded by the middleware; else there is none."""
    user: Who | None = None
    """Whose API key came, once `who` has found that."""
    is_administrators = False
    """The admin token came, as `require_admin` has found."""

    @property
    def services(self) -> Services:
        services: Services = self.app.ctx  # type: ignore[assignment]  # Sanic(ctx=...) in server/app.py
        return services

    def meter(self, is_stream: bool = False) -> Meter:
        """What the tenant's users are charged by: within its limits, if it has some. `is_stream`:
        a hold is for a streamed call."""
        services, limits = self.services, self.tenant.config.limits
        if not limits.are_metered:
            return services.meter
        leases = services.leases.of(self.tenant.tenant_id, limits)
        return LimitedMeter(services.meter, leases, is_stream)

    @property
    def ref(self) -> Ref:
        """What the ledger says of a change that this request makes."""
        return {"requestId": str(self.id)}

    async def respond(self, *args: Any, **kwargs: Any) -> Any:
        """What every reply gets, errors included: its ID, CORS, the end of the connection when
        the server is about to stop, so that none is in use when it does; and it is counted.

        Sanic's middleware for replies would cost 4 us more.
        """
        response = await super().respond(*args, **kwargs)
        headers = response.headers
        headers["x-request-id"] = self.id
        if "origin" in self.headers or not self.head:
            tenant: Tenant | None = getattr(self, "tenant", None)
            headers.update(cors.headers(self, tenant.parsed if tenant else None))
        stream = self.http
        if self.services.draining:
            stream.keep_alive = False
        label = getattr(self.route and self.route.ctx, "label", metrics.UNKNOWN_ROUTE)
        # To a client that has gone Sanic replies 500, which nobody gets.
        status = GONE if self.conn_info and self.conn_info.lost else response.status
        # Sanic keeps when the connection's last bytes came, which are those of this request.
        metrics.request_answered(label, status, monotonic() - stream.protocol._time)
        return response

    def bearer(self) -> str:
        """The credential of the Authorization header, '' if there is none."""
        scheme, _, credential = self.headers.getone("authorization", "").partition(" ")
        return credential if scheme.lower() == "bearer" else ""

    def api_key(self) -> str:
        """That of the request, '' if there is none."""
        # X-API-Key is ours alone, while proxies and clients put others' bearers beside it.
        return self.headers.getone("x-api-key", "") or self.bearer()

    async def who(self, any_key: bool = False, api_key: str = "") -> Who:
        """The user that the request's API key belongs to, or belonged to until it was revoked. A
        restricted key may only be there if the route is for `any_key`. `api_key`: that of the
        request, where it has come otherwise than keys do.

        Raises InvalidApiKey if there is no key, or nobody's; TooManyFaults after many refusals;
        KeyNotAllowed, OriginNotAllowed. Whether the user still has the key, and is of this tenant,
        each script checks (read_user in lua/prelude/user.lua).
        """
        api_key = api_key or self.api_key()
        if not api_key:
            raise InvalidApiKey
        services, restricted = self.services, None
        # To ask for what is known would cost a coroutine.
        user_id = services.users.known(api_key)
        if user_id is None and is_restricted(api_key):
            user_id, restricted = await services.restricted_keys.find(api_key)
        elif user_id is None:
            user_id = await services.users.find(api_key)
        wait_ms = services.faults.wait_ms(api_key)
        # No route for any key replays anything, though SDKs send the header there, too.
        if wait_ms and (any_key or not self._may_be_a_replay()):
            raise TooManyFaults(wait_ms)
        who = self.user = Who(self.tenant.tenant_id, user_id, api_key, restricted)
        if restricted is not None:
            if not any_key:
                await services.accounts.balance(who)  # raises, where that is what is wrong
                raise KeyNotAllowed
            if not cors.may_use(self, restricted):
                raise OriginNotAllowed
        return who

    def _may_be_a_replay(self) -> bool:
        """Of a request that has been paid for: such bodies are small."""
        http = self.http
        is_small = http.request_body != "chunked" and http.announced_bytes <= SMALL_REQUEST_BYTES  # type: ignore[comparison-overlap]
        return is_small and "idempotency-key" in self.headers

    def require_admin(self) -> None:
        """Raises InvalidAdminToken, and TooManyWrongTokens after some from the client."""
        settings = self.services.settings
        expected = settings.admin_token.encode()
        given = self.bearer().encode(errors="surrogateescape")
        if expected and hmac.compare_digest(given, expected):
            self.is_administrators = True
            return
        if not given:  # which guesses nothing
            raise InvalidAdminToken
        # Loopback too: no right one is refused.
        client = client_network(self, settings) or self.ip
        self.services.wrong_tokens.refuse(str(client))

    def idempotency_key(self) -> str | None:
        """Raises BadRequest unless it is 1 to 255 visible ASCII characters, once."""
        given = self.headers.getall("idempotency-key", None)
        if given is None:
            return None
        if len(given) != 1 or not _IDEMPOTENCY_KEY.fullmatch(given[0]):
            raise BadRequest
        return str(given[0])

    async def read_object(self, shape: Any, most: int = body.OF_OTHERS.size) -> dict[str, Any]:
        """The body, an object, of at most `most` bytes; an empty body is `{}`.

        Raises InvalidJson, and Invalid for a member that `shape`, a TypedDict or several (`A | B`),
        does not have: a misspelt `tokens` must not quietly become the default. All else about the
        body the handler checks.
        """
        value = await self.read_any_object(most)
        members = _members(shape)
        if not value.keys() <= members:
            unknown = [name for name in value if name not in members]
            refuse(*(Detail(path=name, message="unknown member") for name in unknown))
        return value

    async def read_any_object(self, most: int = body.OF_OTHERS.size) -> dict[str, Any]:
        """The body, an object; an empty body is `{}`. Raises InvalidJson, TooComplex."""
        return await body.read_small(self.http, self.services.request_room, self.sender, most)

    def read_query(self) -> dict[str, str]:
        """Raises BadRequest."""
        return fields_of(self.query_string)

    async def read_form(self) -> dict[str, str]:
        """The body that a page's form has posted. Raises BadRequest."""
        kind, _, _ = self.headers.getone("content-type", "").partition(";")
        if kind.strip().lower() != "application/x-www-form-urlencoded":
            raise BadRequest
        text = await body.read_form(self.http, self.services.request_room, self.sender)
        try:
            return fields_of(text.decode("ascii"))
        except UnicodeDecodeError:
            raise BadRequest from None

    @property
    def sender(self) -> Who:
        """Whose share of the room for bodies this one takes. Of those whom nobody knows each client
        is a user: so none of them keeps out all others, and all of them no administrator."""
        if self.user is not None:
            return self.user
        if self.is_administrators:
            return Who(_ADMINISTRATORS, "", "")
        client = client_network(self, self.services.settings) or self.ip
        return Who(_STRANGERS, f"{_STRANGERS} {client}", "")

    @property
    def http(self) -> StrictHttp:
        """What it came by."""
        stream: StrictHttp = self.stream  # type: ignore[assignment]
        return stream

    @property
    def connection(self) -> StrictProtocol:
        """What it came over."""
        protocol: StrictProtocol = self.http.protocol  # type: ignore[assignment]
        return protocol


@cache
def _members(shape: Any) -> frozenset[str]:
    return frozenset(name for one in get_args(shape) or (shape,) for name in one.__annotations__)


def refuse(*details: Detail) -> NoReturn:
    """Raises Invalid."""
    raise Invalid("Invalid request", list(details))


def amount(value: Any, path: str, least: int) -> int:
    """`value` if it is an integer number of tokens, `least` to 10^13. Raises Invalid."""
    if not is_amount(value, least):
        refuse({"path": path, "message": f"must be an integer from {least} to {LARGEST}"})
    return value


def integer(text: str, path: str, least: int, most: int) -> int:
    """`text`, of a query, as an integer. Raises Invalid."""
    if not re.fullmatch(r"[0-9]{1,15}", text) or not least <= int(text) <= most:
        refuse({"path": path, "message": f"must be an integer from {least} to {most}"})
    return int(text)


async def load_tenant(request: Request) -> None:
    """The one middleware of all `/:tenantId/...` routes.

    Raises InvalidTenant, and Unavailable for a stored config that is not valid, unless the route
    is one to mend it (`repairs_config`).
    """
    route = request.route
    request.tenant = await request.services.tenants.load(
        request.match_info["tenant_id"],
        to_repair=route is not None and getattr(route.ctx, "repairs_config", False),
    )


def reply(
    value: _Body, status: int = 200, headers: dict[str, str] | None = None
) -> JsonReply[_Body]:
    """A JSON reply."""
    return JsonReply(orjson.dumps(value), status, headers, "application/json")


async def send_in_pieces(
    request: Request, body: bytes | memoryview, headers: Mapping[str, str], content_type: str
) -> None:
    """A large reply, as fast as it is read. What waits to be sent is a piece of it, which of a
    memoryview is no copy, but keeps all of it: for a body that is there anyway."""
    sized = {**headers, "content-length": str(len(body))}
    response = await request.respond(Reply(None, 200, sized, content_type))
    if request.method == "HEAD":
        return  # Sanic sends the head
    await response.send(b"")  # the head alone, which would make a copy of what it comes with
    for begin in range(0, len(body), _PIECE_BYTES):
        await response.send(body[begin : begin + _PIECE_BYTES])
    await response.eof()
