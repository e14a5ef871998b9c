"""The refusals of sign-ins; server/errors.py has the others.

Refusal
├── InvalidIdToken        401  not a token of the provider's, for this tenant, now
├── InvalidNotification   400  not one of Apple's, or for nobody here
└── LoginProviderFailed   502  a login provider cannot be asked, or does not do its part
    └── LoginProviderTimeout 504
"""

from typing import Literal

from server.errors import BadRequest, Refusal

Reason = Literal["signature", "issuer", "audience", "expired", "nonce", "malformed"]


class InvalidIdToken(Refusal):
    label = "invalid_id_token"
    status = 401
    message = "Invalid ID token"
    is_final = True

    def __init__(self, reason: Reason) -> None:
        super().__init__({"reason": reason}, {"www-authenticate": "Bearer"})
        self.reason = reason


class InvalidNotification(BadRequest):
    label = "invalid_notification"
    message = "Invalid payload"


class LoginProviderFailed(Refusal):
    """`reason` is a word or two."""

    label = "login_provider_failed"
    status = 502
    message = "Login provider failed"

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason


class LoginProviderTimeout(LoginProviderFailed):
    label = "login_provider_timeout"
    status = 504
    message = "Login provider timed out"
