"""What the API's documentation says of refusals: which ones a route answers with, and when."""

from collections.abc import Sequence

from server.billing.errors import (
    AlreadySubscribed,
    BillingFailed,
    BillingNotConfigured,
    BillingTimeout,
    InvalidSignature,
    LoginRequired,
    NoCustomer,
    NotApplied,
    PaymentDisputed,
)
from server.errors import (
    MOST_DETAILS,
    BadRequest,
    Invalid,
    InvalidAdminToken,
    InvalidApiKey,
    InvalidJson,
    InvalidTenant,
    KeyReused,
    NoModel,
    NotFound,
    OriginNotAllowed,
    Overloaded,
    PayloadTooLarge,
    PreconditionFailed,
    RedisNearlyFull,
    Refusal,
    RequestTimeout,
    TenantExists,
    TenantLimited,
    TooComplex,
    TooManyFaults,
    TooManyRequests,
    TooManyWrongTokens,
    Unavailable,
    UnknownHold,
    Unsupported,
    UpgradeRequired,
)
from server.identity.errors import (
    ChallengeFailed,
    ChallengeUnavailable,
    IdentityTaken,
    InvalidCode,
    InvalidState,
    KeyNotAllowed,
    LoginNotConfigured,
    RecentLoginRequired,
    TooManyClientSecrets,
    TooManyKeys,
)
from server.login_providers.errors import (
    InvalidIdToken,
    InvalidNotification,
    LoginProviderFailed,
    LoginProviderTimeout,
)
from server.metering.errors import NoResponse, NotAllowed, PaymentRequired, TokensHeld, TooManyCalls
from server.openapi.headers import LEFT, RATE, SPENT
from server.openapi.route import Route
from server.providers.errors import (
    ProviderAuthError,
    ProviderBusy,
    ProviderError,
    ProviderQuota,
    ProviderRefused,
    ProviderTimeout,
)


class InternalServerError(Refusal):
    """Documented like a refusal, though nothing raises it: any unhandled exception is one."""

    status = 500
    message = "Internal Server Error"
    is_native = True


REFUSALS: dict[type[Refusal], tuple[str, Sequence[str]]] = {
    BadRequest: ("headers are malformed, ambiguous or too large", ()),
    InvalidJson: ("the body does not parse, or is not an object", ()),
    TooComplex: ("the JSON has too many values, or is nested too deeply", ()),
    InvalidNotification: ("it is not Apple's, or for none of the tenant's client IDs", ()),
    InvalidSignature: ("the event is not signed with a secret of the tenant's, or not now", ()),
    InvalidTenant: ("there is no such tenant", ()),
    Unsupported: ("a member cannot be served; it is named", ()),
    InvalidState: ("the state is unknown, used, older than 10 minutes, or another provider's", ()),
    InvalidCode: ("the code is unknown, used, older than 60 s, or not of this verifier", ()),
    InvalidApiKey: (
        "the API key is missing, malformed, unknown, revoked, expired or of another tenant",
        ["WWW-Authenticate"],
    ),
    InvalidAdminToken: ("the admin token is missing or wrong", ["WWW-Authenticate"]),
    InvalidIdToken: (
        "the ID token is none of the provider's for this tenant, now; `reason` says what is wrong: "
        "`signature`, `issuer`, `audience` (another client ID, or `hd`), `expired` (or not valid "
        "yet, or for more than a day), `nonce`, `malformed`",
        ["WWW-Authenticate"],
    ),
    PaymentRequired: ("the balance does not cover it; nothing is taken", (*RATE, *LEFT)),
    OriginNotAllowed: (
        "the tenant's `allowed_origins`, or a restricted key's `origins`, do not list the page's",
        (),
    ),
    ChallengeFailed: (
        "the tenant's logins need a challenge that is solved, and this is none, or came before",
        (),
    ),
    KeyNotAllowed: ("a restricted key is for provider calls, their models, and the balance", ()),
    RecentLoginRequired: (
        "no login within the last hour came with this key, or was answered with it",
        (),
    ),
    NotAllowed: ("the user's group, or a restricted key, is not for this", ()),
    LoginRequired: ("only users who have signed in can buy", ()),
    NotFound: ("there is none in this tenant", ()),
    NoModel: ("no endpoint offers the model", ()),
    NoResponse: ("no response of this ID is kept for the user", ()),
    LoginNotConfigured: ("the tenant has no logins of this kind", ()),
    BillingNotConfigured: ("the tenant sells nothing, or takes no events", ()),
    UnknownHold: ("it is unknown, expired, or was not made by this user here", ()),
    RequestTimeout: ("headers or body come too slowly", ()),
    NoCustomer: ("the user has never bought", ()),
    AlreadySubscribed: ("the user has a plan, which it can change on the portal", ()),
    PaymentDisputed: ("a payment of the user's is disputed, or was lost so", ()),
    TenantExists: ("there is, or was, a tenant with this ID", ()),
    IdentityTaken: ("the identity is another user's, to whom `link` would not lead", ()),
    PreconditionFailed: ("the config is not the one that `If-Match` names", ()),
    PayloadTooLarge: ("the body is over 1 MiB (10 MiB for provider calls)", ()),
    Invalid: (f"well-formed but wrong: {MOST_DETAILS} faults are listed, nothing changed", ()),
    UpgradeRequired: ("it is no handshake of a WebSocket", ["Upgrade"]),
    KeyReused: ("the `Idempotency-Key` came with another request before", LEFT),
    TooManyRequests: ("over the limit", ["Retry-After"]),
    TokensHeld: (
        "what the balance lacks is held by other calls, and none of them gave it back in time",
        (*RATE, *LEFT, "Retry-After"),
    ),
    TooManyWrongTokens: (
        "the admin token is wrong, as others of this client were within a minute",
        ["Retry-After"],
    ),
    TooManyKeys: ("as many of the user's restricted keys are alive as may be", ["Retry-After"]),
    TooManyClientSecrets: (
        "as many of the user's client secrets are alive as may be",
        ["Retry-After"],
    ),
    TooManyFaults: ("too many requests were refused of late", ["Retry-After"]),
    TooManyCalls: (
        "as many calls of the user are under way as its group may have",
        (*RATE, *LEFT, "Retry-After"),
    ),
    TenantLimited: ("over a limit of the tenant's `limits`", ["Retry-After"]),
    ProviderRefused: ("the provider refuses the request", (*RATE, *SPENT)),
    ProviderBusy: ("the provider's limit is reached, which is the tenant's", (*RATE, *SPENT)),
    InternalServerError: ("a fault of the server", ()),
    ProviderError: ("the provider fails or cannot be reached", (*RATE, *SPENT)),
    ProviderAuthError: ("it refuses the tenant's key", (*RATE, *SPENT)),
    ProviderQuota: ("the tenant's credit there is used up", (*RATE, *SPENT)),
    ProviderTimeout: ("the provider does not answer in time", (*RATE, *SPENT)),
    LoginProviderFailed: ("the login provider fails or cannot be reached", ()),
    LoginProviderTimeout: ("it does not answer within 10 s", ()),
    BillingFailed: ("Stripe fails, cannot be reached, or refuses the tenant's key", ()),
    BillingTimeout: ("Stripe does not answer within 10 s", ()),
    NotApplied: ("Stripe could not be asked: it delivers the event again", ["Retry-After"]),
    Unavailable: ("Redis cannot answer, or what it has is not readable", ["Retry-After"]),
    Overloaded: ("too many calls or large requests at a time, of all or of one", ["Retry-After"]),
    ChallengeUnavailable: (
        "who knows whether the challenge is solved does not answer; it may be sent again",
        ["Retry-After"],
    ),
    RedisNearlyFull: ("Redis has little memory left, which is not for new users", ["Retry-After"]),
}
"""When each is given, and its headers."""

_OF_ALL = (BadRequest, RequestTimeout, PayloadTooLarge, InternalServerError)
# A provider's answers about the tenant, its key, credit or limit: these are not passed on as they
# are, but become refusals of their own.
_NOT_PASSED_ON = {"401", "402", "403", "429"}
_OF_CREDENTIAL: dict[str | None, list[type[Refusal]]] = {
    None: [],
    "user": [InvalidApiKey, KeyNotAllowed, TooManyFaults],
    "any key": [InvalidApiKey, OriginNotAllowed, TooManyFaults],
    "admin": [InvalidAdminToken, TooManyWrongTokens],
}


def refusals(route: Route) -> dict[str, list[type[Refusal]]]:
    """By status: those that all have, its own, and what path, credential and body bring."""
    doc = route.doc
    kinds: set[type[Refusal]] = {*_OF_ALL, *doc.refusals, *_OF_CREDENTIAL[doc.credential]}
    if route.path.startswith("/{tenantId}"):
        kinds |= {InvalidTenant, Unavailable}
    if doc.body:
        kinds |= {InvalidJson, TooComplex, Overloaded}
        if not route.speaks:
            kinds.add(Invalid)
    return _by_status(kinds)


def _by_status(kinds: set[type[Refusal]]) -> dict[str, list[type[Refusal]]]:
    """In the order of REFUSALS. What a provider says of the request has the provider's status."""
    found: dict[str, list[type[Refusal]]] = {}
    for kind in REFUSALS:
        if kind in kinds and kind is not ProviderRefused:
            found.setdefault(str(kind.status), []).append(kind)
    if ProviderRefused in kinds:
        found["4XX"] = []
        for status in found.keys() - _NOT_PASSED_ON:
            if status.startswith("4"):
                found[status].append(ProviderRefused)
    return found
