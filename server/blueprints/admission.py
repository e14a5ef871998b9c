"""What all ways to sign in with a login provider begin with, and how they are counted."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from server import metrics
from server.blueprints import cors
from server.blueprints.client_address import client_network
from server.blueprints.metrics import Handler
from server.blueprints.request import Request, refuse
from server.blueprints.signed_in import NO_STORE
from server.errors import Detail, OriginNotAllowed, Refusal
from server.login_providers.identity import ProviderName
from server.replies import Reply

STRICT = ConfigDict(strict=True)
UNKNOWN = "unknown"


@with_config(STRICT)
class Choices(TypedDict):
    link: NotRequired[
        Annotated[
            bool, Field(description="the user that the API key is of, or none", examples=[False])
        ]
    ]
    newKey: NotRequired[
        Annotated[bool, Field(description="end all other API keys of the user", examples=[False])]
    ]


def answers_for(provider: ProviderName | None) -> Callable[[Handler], Handler]:
    """Counts how the handler's requests end, and lets nobody keep its replies. Without a provider
    the handler says which it is, as `request.ctx.login_provider`, once that is known."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def answer(request: Request, tenant_id: str, **rest: str) -> Reply:
            request.ctx.login_provider = provider or UNKNOWN
            try:
                answered = await handler(request, tenant_id, **rest)
            except Refusal as refusal:
                metrics.sign_in_answered(tenant_id, request.ctx.login_provider, refusal.label)
                refusal.headers |= NO_STORE
                raise
            metrics.sign_in_answered(tenant_id, request.ctx.login_provider, "signed_in")
            return answered

        return answer

    return decorate


def check_origin(request: Request) -> None:
    """Raises OriginNotAllowed."""
    if not cors.may_call(request, request.tenant.config):
        raise OriginNotAllowed


async def count(request: Request) -> None:
    """Raises RedisNearlyFull, TooManyRequests."""
    services = request.services
    services.reserve.admit_login()
    client = client_network(request, services.settings)
    await services.login_limits.count_sign_in(request.tenant.tenant_id, client)


async def read_checked(
    request: Request, shape: Any, adapter: TypeAdapter[Any], most: int
) -> dict[str, Any]:
    """The body, of at most `most` bytes, whose members are as `shape` has them. Raises Invalid."""
    body = await request.read_object(shape, most)
    try:
        adapter.validate_python(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        refuse(*(Detail(path=str(each["loc"][0]), message=each["msg"]) for each in faults))
    return body
