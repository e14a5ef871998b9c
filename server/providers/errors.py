"""The refusals that are a provider's doing.

Refusal
├── ProviderRefused       4xx  what a provider says of the request; 502 in a reply of status 200
│   └── ProviderFailed    502  what it says of itself in a reply of status 200
└── ProviderError         502  a provider does not do its part
    ├── ProviderBusy      429  the tenant's rate limit there is reached
    ├── ProviderAuthError 502  it refuses the tenant's key
    ├── ProviderQuota     502  the tenant's credit there is used up
    ├── ReplyTooLarge     502
    └── ProviderTimeout   504
"""

from server.errors import MethodNotAllowed, NotFound, Refusal


class ProviderRefused(Refusal):
    """Its `kind` is in the words of OpenAI or of Anthropic, '' if unknown."""

    label = "provider_refused"

    def __init__(
        self, status: int, message: str, kind: str, code: str | None, param: str | None
    ) -> None:
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.is_final = status in (NotFound.status, MethodNotAllowed.status)
        super().__init__()


class ProviderFailed(ProviderRefused):
    """As ProviderError, in the provider's own words: it had taken the request."""

    label = "provider_error"


class ProviderError(Refusal):
    """The provider's fault, or the tenant's there: no user's request could have avoided it.

    The alert VibeServerProviderFails is for the labels of this and its subclasses, and no others.
    """

    label = "provider_error"
    status = 502
    message = "The provider failed"
    code: str | None = "provider_error"

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason


class ProviderBusy(ProviderError):
    label = "provider_busy"
    status = 429
    message = "The provider's rate limit is reached"
    code = "rate_limit_exceeded"


class ProviderAuthError(ProviderError):
    label = "provider_auth_error"
    message = "The provider refuses the tenant's key"
    code = "provider_auth_error"
    is_final = True


class ProviderQuota(ProviderError):
    label = "provider_quota"
    message = "The tenant's credit at the provider is used up"
    code = "provider_quota"
    is_final = True


class ReplyTooLarge(ProviderError):
    message = "The provider's reply is too large"


class ProviderTimeout(ProviderError):
    label = "provider_timeout"
    status = 504
    message = "The provider did not answer in time"
    code = "provider_timeout"


OF_PROVIDERS = (
    *(ProviderRefused, ProviderBusy, ProviderError),
    *(ProviderAuthError, ProviderQuota, ProviderTimeout),
)
"""What a question to a provider can end with, in the documents of the routes that ask one."""
