"""What a user has, and how it came to that."""

from typing import Annotated

from pydantic import Field
from sanic import Blueprint
from typing_extensions import TypedDict

from server.amounts import LARGEST, Tokens
from server.blueprints.request import Request, integer, reply
from server.errors import Invalid
from server.metering.results import Balance, Entry, Op, Subscription, iso_time
from server.openapi.route import Answer, Doc, Parameter
from server.openapi.values import TenantId, Time, UserId
from server.replies import JsonReply
from server.tenants.groups import MOST_REQUESTS, RateLimit, RateLimitWindow

blueprint = Blueprint("accounts")

USUAL_ENTRIES = 50
MOST_ENTRIES = 200

_LIMIT = Parameter(
    "limit",
    "query",
    Annotated[
        int,
        Field(
            ge=1,
            le=MOST_ENTRIES,
            description="entries at most",
            examples=[50],
            json_schema_extra={"default": USUAL_ENTRIES},
        ),
    ],
)
_BEFORE = Parameter(
    "before",
    "query",
    Annotated[
        int,
        Field(
            ge=1,
            le=LARGEST,
            description="only entries with a smaller number",
            examples=[100],
        ),
    ],
)


class RunningPlan(TypedDict):
    name: Annotated[str, Field(examples=["stripe_basic"])]
    status: Annotated[str, Field(description="Stripe's", examples=["active"])]
    periodEnd: Annotated[Time, Field(examples=["2025-03-02T12:00:00.000Z"])]


class User(TypedDict):
    userId: UserId
    group: Annotated[str, Field(description="whose limits the user has", examples=["anonymous"])]
    tokensLeft: Annotated[Tokens, Field(description="the balance", examples=[95])]
    tokensExtra: Annotated[
        Tokens,
        Field(
            description="of those left and held: granted beside the group's tokens, which are "
            "spent first. A move to another group keeps them",
            examples=[0],
        ),
    ]
    tokensHeld: Annotated[Tokens, Field(description="set aside in open holds", examples=[0])]
    tokensUsed: Annotated[Tokens, Field(description="taken so far", examples=[5])]
    rateLimit: Annotated[RateLimit, Field(examples=[10])]
    rateLimitWindow: Annotated[RateLimitWindow, Field(examples=[60])]
    rateRemaining: Annotated[
        int,
        Field(ge=0, le=MOST_REQUESTS, description="requests the window still admits", examples=[9]),
    ]
    createdAt: Annotated[
        Time, Field(description="the first login", examples=["2025-01-31T12:00:00.000Z"])
    ]
    expiresAt: Annotated[
        Time | None,
        Field(
            description="unless it is used before; null: the user is permanent",
            examples=["2025-03-02T12:00:00.000Z"],
        ),
    ]
    plan: Annotated[
        RunningPlan | None,
        Field(
            description="that the user pays for; null: none",
            examples=[
                {
                    "name": "stripe_basic",
                    "status": "active",
                    "periodEnd": "2025-03-02T12:00:00.000Z",
                }
            ],
        ),
    ]


class LedgerEntry(TypedDict):
    number: Annotated[
        int,
        Field(ge=1, le=LARGEST, description="counts the user's entries from 1", examples=[2]),
    ]
    time: Annotated[Time, Field(description="of the change", examples=["2025-01-31T12:00:01.250Z"])]
    op: Annotated[
        Op,
        Field(
            description="what was done; `expire`: a hold went back at its deadline; "
            "`overrun`: a cost that the balance did not cover; `refill`: a plan's tokens for a "
            "period; `upgrade`: more of them within it; `pack`: bought ones; `refund`: what went "
            "back with its money, or came again; `lapse`: the end of a plan",
            examples=["charge"],
        ),
    ]
    tokens: Annotated[
        int,
        Field(
            ge=-LARGEST,
            le=LARGEST,
            description="the signed change of the balance",
            examples=[-5],
        ),
    ]
    tokensLeft: Annotated[Tokens, Field(description="the balance after it", examples=[95])]
    ref: Annotated[
        dict[str, str | int | bool],
        Field(
            description="what caused it; `estimated`: the provider did not report all its usage",
            examples=[{"requestId": "3f1c0a9be2d84756a1b2c3d4"}],
        ),
    ]


class Ledger(TypedDict):
    entries: Annotated[list[LedgerEntry], Field(max_length=MOST_ENTRIES)]


@blueprint.get(
    "/balance",
    ctx_doc=Doc(
        "Metering",
        "What the user has",
        [Answer("the user")],
        about="Not rate limited, and answers at a balance of 0 too. A restricted key sees its own "
        "tokens, none of them extra, and when it expires; the rest is its user's.",
        credential="any key",
    ),
)
async def read_balance(request: Request, tenant_id: TenantId) -> JsonReply[User]:
    who = await request.who(any_key=True)
    found = await request.services.accounts.balance(who)
    return reply(describe(who.user_id, found))


@blueprint.get(
    "/ledger",
    ctx_doc=Doc(
        "Metering",
        "The changes of the balance, newest first",
        [Answer("the entries")],
        about="To read on, give the last entry's number as `before`.",
        credential="user",
        parameters=[_LIMIT, _BEFORE],
        refusals=[Invalid],
    ),
)
async def read_ledger(request: Request, tenant_id: TenantId) -> JsonReply[Ledger]:
    who = await request.who()
    limit = integer(request.args.get("limit", str(USUAL_ENTRIES)), "limit", 1, MOST_ENTRIES)
    before = integer(request.args.get("before", str(LARGEST)), "before", 1, LARGEST)
    entries = await request.services.accounts.ledger(who, limit, before)
    return reply({"entries": [_describe_entry(entry) for entry in entries]})


def describe(user_id: str, balance: Balance) -> User:
    """A user, as its own `balance` and an administrator see it."""
    return {
        "userId": user_id,
        "group": balance.group,
        "tokensLeft": balance.tokens_left,
        "tokensExtra": balance.tokens_extra,
        "tokensHeld": balance.tokens_held,
        "tokensUsed": balance.tokens_used,
        "rateLimit": balance.rate_limit,
        "rateLimitWindow": balance.rate_limit_window,
        "rateRemaining": balance.rate_remaining,
        "createdAt": balance.created_at,
        "expiresAt": balance.expires_at,
        "plan": _describe_plan(balance.plan),
    }


def _describe_plan(plan: Subscription | None) -> RunningPlan | None:
    if plan is None:
        return None
    return {
        "name": plan.plan,
        "status": plan.status,
        "periodEnd": iso_time(plan.period_end_ms),
    }


def _describe_entry(entry: Entry) -> LedgerEntry:
    return {
        "number": entry.number,
        "time": iso_time(entry.time_ms),
        "op": entry.op,
        "tokens": entry.tokens,
        "tokensLeft": entry.tokens_left,
        "ref": entry.ref,
    }
