"""The refusals of logins, accounts and restricted keys; server/errors.py has the others.

Refusal
├── BadRequest            400
│   ├── InvalidState      400  no sign-in by redirect is under way that has this state
│   └── InvalidCode       400  none is back with this code, for who has its verifier
├── KeyNotAllowed         403  a restricted key where only a full one may be
├── ChallengeFailed       403
├── RecentLoginRequired   403  the key may be a copy
├── NotFound              404
│   └── LoginNotConfigured 404  the tenant has no logins of this kind
├── IdentityTaken         409  another user signs in with it
├── TooManyRequests       429
│   ├── TooManyKeys       429  as many of them are alive as the user may have
│   └── TooManyClientSecrets 429  likewise
└── ServiceUnavailable    503
    └── ChallengeUnavailable 503  nobody can say whether a challenge is solved
"""

from server.errors import BadRequest, NotFound, Refusal, ServiceUnavailable, TooManyRequests


class InvalidState(BadRequest):
    label = "invalid_state"
    message = "Invalid state"


class InvalidCode(BadRequest):
    label = "invalid_code"
    message = "Invalid code"


class KeyNotAllowed(Refusal):
    label = "key_not_allowed"
    status = 403
    message = "Key not allowed here"
    is_final = True


class ChallengeFailed(Refusal):
    """Final: another token is wanted, which somebody has to earn."""

    label = "challenge_failed"
    status = 403
    message = "Challenge failed"
    is_final = True


class LoginNotConfigured(NotFound):
    label = "login_not_configured"
    message = "Login method not configured"


class RecentLoginRequired(Refusal):
    """A copied key must not become a lasting way in, nor end an account."""

    label = "recent_login_required"
    status = 403
    message = "Recent login required"
    is_final = True


class IdentityTaken(Refusal):
    label = "identity_taken"
    status = 409
    message = "Identity belongs to another user"


class TooManyKeys(TooManyRequests):
    label = "too_many_keys"
    message = (
        "50 restricted keys of a user may be alive, 3 of an anonymous one, of 600 bytes together"
    )


class TooManyClientSecrets(TooManyRequests):
    label = "too_many_client_secrets"
    message = (
        "50 client secrets of a user may be alive, their sessions 64,000 bytes together, 10 of an "
        "anonymous one, 4,000 bytes together"
    )


class ChallengeUnavailable(ServiceUnavailable):
    label = "challenge_unavailable"
