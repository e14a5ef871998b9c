"""What a visitor or a user can ask for beside calls: sign-ins, keys, secrets, purchases, calls by
the second, and what others' servers say, forged."""

from functools import partial
from itertools import cycle
from typing import Any

from tests.abuse.attackers import RICH, UNDER_WAY, Attack, Victim, at_once
from tests.abuse.floods import pipelined
from tests.abuse.held_memory import Silent
from tests.api import config
from tests.endpoints import voice_config

KIB = 1024
CALLERS, AT_A_TIME = 20, 40
HOME = "https://app.example/signed-in"
_PACKS = {"small": {"price": "price_1", "tokens": 10}}
SOLD: dict[str, Any] = config(anonymous=RICH, google_logged_in=RICH, apple_logged_in=RICH) | {
    "auth": {
        "google_oauth": {"client_id": "app", "client_secret": "s"},
        "apple_oauth": {"client_id": "app"},
        "redirect_uris": [HOME],
        "stripe": {"api_key": "sk_test_1", "webhook_secret": "whsec_1", "packs": _PACKS},
    }
}
SPOKEN = voice_config("http://127.0.0.1:9")
_BEGUN = f"redirectUri={HOME}&state=s&codeChallenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
# {"alg":"RS256"}, {}, and no signature
_FORGED = "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"


def _bodies(path: str, body: bytes, count: int, victim: Victim) -> None:
    """Each on a connection of its own, by nobody who is known."""
    tenant_id = victim.put_tenant(SOLD)
    at_once(count, lambda: victim.post(f"/{tenant_id}{path}", "", body))


def _calls(victim: Victim) -> None:
    """At a provider that says nothing."""
    with Silent() as provider:
        endpoint = {"url": f"{provider.url}/api/calls", "api_key": "k", "voice": "Mark"}
        providers = {"realtime": {"endpoints": {"ultravox": endpoint}}}
        tenant_id = victim.put_tenant(config(anonymous=RICH) | {"providers": providers})
        keys = cycle([victim.log_in(tenant_id) for _ in range(CALLERS)])

        def call() -> None:
            victim.saw(UNDER_WAY)
            victim.post(f"/{tenant_id}/realtime/calls", next(keys), b"{}")

        at_once(AT_A_TIME, call)


def _flood(line: str, body: str = "", value: dict[str, Any] = SOLD) -> Any:
    return partial(pipelined, f"{line} HTTP/1.1", 2, config=value, body=body)


ATTACKS = [
    Attack("pipelined_users", _flood("GET /{tenant}/auth/me")),
    Attack("pipelined_purchases", _flood("GET /{tenant}/billing")),
    Attack(
        "checkouts",
        _flood("POST /{tenant}/billing/checkout", f'{{"pack":"small","returnUrl":"{HOME}"}}'),
    ),
    Attack("restricted_keys", _flood("POST /{tenant}/keys", '{"tokens":1}')),
    Attack(
        "client_secrets", _flood("POST /{tenant}/v1/realtime/client_secrets", "{}", value=SPOKEN)
    ),
    Attack("calls_by_the_second", _calls),
    Attack("forged_callbacks", _flood("POST /{tenant}/realtime/callbacks/x", "{}")),
    Attack(
        "large_callbacks",
        partial(_bodies, "/realtime/callbacks/x", b"[" + b"{}," * 300_000 + b"0]", 4),
    ),
    Attack("unsigned_events", _flood("POST /{tenant}/stripe/webhook", "{}")),
    Attack("large_unsigned_events", partial(_bodies, "/stripe/webhook", b" " * 256 * KIB, 4)),
    Attack(
        "forged_notices",
        _flood("POST /{tenant}/auth/apple/notifications", f'{{"payload":"{_FORGED}"}}'),
    ),
    Attack("forged_id_tokens", _flood("POST /{tenant}/auth/google", f'{{"idToken":"{_FORGED}"}}')),
    Attack("starts_of_sign_ins", _flood(f"GET /{{tenant}}/auth/google/start?{_BEGUN}")),
    Attack("states_that_are_guessed", _flood("GET /{tenant}/auth/google/callback?state=a&code=b")),
]
