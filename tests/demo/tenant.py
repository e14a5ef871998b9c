"""The demo's tenant: what its config has, and what is set up for it at the doubles."""

from typing import Any
from urllib.parse import urlencode

from tests.doubles.asking import ask
from tests.doubles.sign_in import SignInDouble
from tests.doubles.stripe_api import StripeDouble

TENANT = "demo"
CLIENT = {"client_id": "the-demo", "client_secret": "any"}
KEY, SECRET = "sk_test_demo", "whsec_demo"
FREE, SIGNED_IN, PLAN, PACK = 250, 1_000, 20_000, 5_000


def config_of(page: str, urls: dict[str, str], pack_price: str) -> dict[str, Any]:
    """`urls` of the doubles by what they stand for; `page` is where the example is."""
    addresses = [page, page.replace("localhost", "127.0.0.1")]
    group = {"rate_limit": 30, "rate_limit_window": 60}
    return {
        "auth": {
            "google_oauth": CLIENT,
            "apple_oauth": CLIENT,
            "redirect_uris": [*addresses, *(f"{each}index.html" for each in addresses)],
            "stripe": {
                "api_key": KEY,
                "webhook_secret": SECRET,
                "packs": {"small": {"price": pack_price, "tokens": PACK}},
            },
        },
        "user_groups": {
            "anonymous": {"tokens": FREE, **group},
            "google_logged_in": {"tokens": SIGNED_IN, **group},
            "stripe_basic": {"tokens": PLAN, **group},
        },
        "providers": {
            "text": {
                "default": "openai",
                "endpoints": {
                    "openai": {
                        "url": f"{urls['chats']}/v1/chat/completions",
                        "api_key": "any",
                        "default_model": "double-mini",
                        "reasoning": False,
                        "max_output": 100,
                    },
                    "anthropic": {
                        "url": f"{urls['chats']}/v1/messages",
                        "protocol": "anthropic",
                        "api_key": "any",
                        "default_model": "double-claude",
                    },
                },
            },
            "realtime": {
                "default": "openai_realtime",
                "endpoints": {
                    "openai_realtime": {
                        "url": f"{urls['voices']}/v1/realtime",
                        "api_key": "any",
                        "model": "double-voice",
                        "max_output": 500,
                    },
                    "ultravox": {"url": f"{urls['calls']}/api/calls", "api_key": "any"},
                },
            },
        },
    }


def people(double: SignInDouble) -> None:
    """Who is in front of the browser at Google and at Apple."""
    for operator in (double.google, double.apple):
        operator.client(CLIENT["client_id"], secret=CLIENT["client_secret"])
    double.google.do("person", sub="ada", name="Ada Lovelace", email="ada@example.com")
    double.apple.do("person", sub="001.grace", name="Grace Hopper", email="grace@example.com")


def goods(double: StripeDouble, server: str) -> str:
    """A plan and a pack, as set up on Stripe's pages by hand; the pack's price."""
    double.account(KEY, endpoint=f"{server}/{TENANT}/stripe/webhook", secrets=[SECRET])
    product = _made(double, "products", name="Tokens")
    price = {"product": product, "currency": "usd"}
    monthly = {"unit_amount": "1000", "recurring[interval]": "month", "lookup_key": "stripe_basic"}
    _made(double, "prices", **price, **monthly)
    return _made(double, "prices", **price, unit_amount="500")


def _made(double: StripeDouble, what: str, **members: str) -> str:
    form = urlencode(members).encode()
    return str(ask(f"{double.url}/v1/{what}", form, Authorization=f"Bearer {KEY}")["id"])


def store(server: str, admin_token: str, config: dict[str, Any]) -> None:
    """Makes the tenant."""
    body = {"tenantId": TENANT, "config": config}
    ask(f"{server}/tenants", body, Authorization=f"Bearer {admin_token}")
