"""The `auth` of a tenant's config: strict when it is put, lenient with what is stored."""

import json
from functools import cache
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from server.store import keys
from server.tenants.config import TenantConfig, parse_config
from tests.api import ADMIN, GROUPS, Api
from tests.processes import Server, Valkey

SECRET = "Hidden-4711"
GROUP = GROUPS["paid"]
LOGGED_IN = GROUPS | {"google_logged_in": GROUP}


def config(auth: object, groups: dict[str, Any] = LOGGED_IN) -> dict[str, Any]:
    return {"auth": auth, "user_groups": groups, "providers": {}}


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def p256() -> str:
    return pem(ec.generate_private_key(ec.SECP256R1()))


def apple(**members: object) -> dict[str, Any]:
    return {"apple_oauth": {"client_id": "a", **members}}


def with_key(key: object) -> dict[str, Any]:
    return apple(team_id="T", key_id="K", private_key=key)


def stripe(**members: object) -> dict[str, Any]:
    return {"stripe": {"api_key": "sk_test_1", **members}}


def challenge(**members: object) -> dict[str, Any]:
    return {"anonymous": {"challenge": {"provider": "turnstile", "secret": "s", **members}}}


def test_all_of_it_is_read_back_as_it_was_put(api: Api) -> None:
    auth = {
        "redirect_uris": ["https://a.example/in", "http://127.0.0.1:5173/"],
        "require_nonce": True,
        "keep_profile": False,
        "google_oauth": {"client_id": "g", "client_ids": ["ios"] * 20, "hd": "a.example"},
        **with_key(p256()),
        **stripe(
            webhook_secret=["a", "b"],
            plans={"paid": {"price": None}},
            packs={"small": {"price": "price_1", "tokens": 10_000}},
            success_url="https://a.example/?s={CHECKOUT_SESSION_ID}",
            cancel_url="http://localhost:5173/",
        ),
        "anonymous": {
            "enabled": True,
            "per_day": 5,
            "challenge": {
                "provider": "recaptcha",
                "secret": "s",
                "hostnames": ["a.example"],
                "min_score": 1,
            },
        },
        "ours": [1],
    }
    reply = api.put_config(config(auth))
    assert reply.status_code == 200, reply.text
    assert api.get("/admin/config", ADMIN).json()["config"]["auth"] == auth


WRONG: list[tuple[object, str]] = [
    (5, "auth"),
    ({"google_oauth": 5}, "auth.google_oauth"),
    ({"google_oauth": {"client_id": ""}}, "auth.google_oauth.client_id"),
    ({"google_oauth": {"client_ids": ["a"] * 21}}, "auth.google_oauth.client_ids"),
    ({"google_oauth": {"client_id": "g", "group": "none"}}, "auth"),
    ({"google_oauth": {"client_id": "g", "group": "anonymous"}}, "auth"),
    (apple(team_id="T"), "auth.apple_oauth"),
    (apple(key_id="K"), "auth.apple_oauth"),
    (with_key("not a key"), "auth.apple_oauth.private_key"),
    ({"require_nonce": "yes"}, "auth.require_nonce"),
    ({"redirect_uris": ["https://a.example/"] * 21}, "auth.redirect_uris"),
    ({"redirect_uris": ["https://a.example/" + "x" * 483]}, "auth.redirect_uris.0"),
    (stripe(plans={"gold": {}}), "auth"),
    (stripe(plans={"paid": {"price": 5}}), "auth.stripe.plans.paid.price"),
    (stripe(packs={"small": {"price": "p"}}), "auth.stripe.packs.small.tokens"),
    (stripe(packs={"small": {"price": "p", "tokens": 0}}), "auth.stripe.packs.small.tokens"),
    (stripe(webhook_secret=["a"] * 6), "auth.stripe.webhook_secret"),
    (stripe(packs={f"p{n}": {"price": "p", "tokens": 1} for n in range(101)}), "auth.stripe.packs"),
    (stripe(webhook_secret=5), "auth.stripe.webhook_secret.0"),
    (stripe(success_url="http://a.example/"), "auth.stripe.success_url"),
    (stripe(cancel_url="javascript:x"), "auth.stripe.cancel_url"),
    (stripe(grace_days=-1), "auth.stripe.grace_days"),
    ({"anonymous": {"enabled": 0}}, "auth.anonymous.enabled"),
    ({"anonymous": {"per_day": -1}}, "auth.anonymous.per_day"),
    ({"anonymous": {"challenge": {"provider": "turnstile"}}}, "auth.anonymous.challenge.secret"),
    (challenge(provider="own"), "auth.anonymous.challenge.provider"),
    (challenge(secret="a b"), "auth.anonymous.challenge.secret"),
    (challenge(hostnames=[""]), "auth.anonymous.challenge.hostnames.0"),
    (challenge(min_score=1.1), "auth.anonymous.challenge.min_score"),
]


@pytest.mark.parametrize(("auth", "path"), WRONG)
def test_what_is_wrong_is_named_and_changes_nothing(api: Api, auth: object, path: str) -> None:
    before = api.get("/admin/config", ADMIN).text
    reply = api.put_config(config(auth))
    assert reply.status_code == 422
    assert [fault["path"] for fault in reply.json()["details"]] == [path]
    assert api.get("/admin/config", ADMIN).text == before


@pytest.mark.parametrize(("auth", "_"), WRONG)
def test_what_is_stored_from_before_is_served(
    api: Api, valkey: Valkey, auth: object, _: str
) -> None:
    valkey.client.set(keys.config(api.tenant_id), json.dumps(config(auth)))
    assert api.login().charge().status_code == 200


def test_what_is_ignored_of_it_is_told_once(api: Api, valkey: Valkey, server: Server) -> None:
    auth = {"google_oauth": 5, "anonymous": {"challenge": SECRET}, "apple_oauth": {}}
    valkey.client.set(keys.config(api.tenant_id), json.dumps(config(auth)))
    clients = [httpx.Client(base_url=server.url) for _ in range(8)]  # on both workers
    for client in clients:
        assert client.get(f"/{api.tenant_id}/balance").status_code == 401
        client.close()
    line = f"[WARN] In config of tenant {api.tenant_id} is not valid, and ignored: "
    assert 1 <= server.text().count(f"{line}google_oauth, challenge\n") <= 2
    assert SECRET not in server.text()


def test_a_login_without_any_group_is_refused(api: Api) -> None:
    reply = api.put_config(config(apple(), GROUPS))
    assert reply.status_code == 422
    assert "apple_oauth.group" in reply.json()["details"][0]["message"]
    assert api.put_config(config({"apple_oauth": {}}, GROUPS)).status_code == 200


_OF_SECRET = {"client_id": "c", "client_secret": SECRET * 300}


@pytest.mark.parametrize(
    "auth",
    [
        {"google_oauth": _OF_SECRET},
        {"apple_oauth": _OF_SECRET},
        with_key(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"),
        apple(team_id=SECRET),
        stripe(api_key=f"{SECRET} ", webhook_secret=[f"{SECRET} "]),
        challenge(secret=f"{SECRET} "),
        challenge(provider=SECRET),
    ],
)
def test_no_secret_is_told(api: Api, auth: dict[str, Any]) -> None:
    reply = api.put_config(config(auth))
    assert reply.status_code == 422
    assert SECRET not in reply.text


def parsed(auth: object, **groups: object) -> TenantConfig:
    """As it is when it is stored."""
    return parse_config(config(auth, GROUPS | groups))


@pytest.mark.parametrize(
    ("key", "is_good"),
    [
        (p256, True),
        (lambda: pem(ec.generate_private_key(ec.SECP384R1())), False),
        (lambda: pem(rsa.generate_private_key(65537, 1024)), False),
        (lambda: p256().replace("PRIVATE", "PUBLIC"), False),
        (lambda: p256()[:100], False),
    ],
)
def test_apples_key_is_one_of_p256(api: Api, key: Any, is_good: bool) -> None:
    assert (api.put_config(config(with_key(key()))).status_code == 200) is is_good


@pytest.mark.parametrize(
    ("oauth", "groups", "group"),
    [
        ({"apple_oauth": {"client_id": "a"}}, ["apple_logged_in", "google_logged_in"], "apple"),
        ({"apple_oauth": {"client_id": "a"}}, ["google_logged_in"], "google"),
        ({"apple_oauth": {"client_id": "a", "group": "paid"}}, ["apple_logged_in"], "paid"),
        ({"apple_oauth": {"client_id": "a", "group": "gone"}}, ["apple_logged_in"], None),
        ({"apple_oauth": {"client_id": "a", "group": "anonymous"}}, ["apple_logged_in"], None),
        ({"apple_oauth": {"client_id": "a"}}, [], None),
        ({"apple_oauth": {"client_secret": "s"}}, ["apple_logged_in"], None),
        ({"apple_oauth": {"client_id": 5}}, ["apple_logged_in"], None),
        ({"google_oauth": {"client_id": "g"}}, ["apple_logged_in"], None),
        ({}, ["apple_logged_in"], None),
        (7, ["apple_logged_in"], None),
    ],
)
def test_who_signs_in_joins(oauth: object, groups: list[str], group: str | None) -> None:
    found = parsed(oauth, **dict.fromkeys(groups, GROUP)).login_group("apple")
    assert found == (group and group.removesuffix("_logged_in") + "_logged_in" * (group != "paid"))


def test_one_unusable_member_takes_no_other_with_it() -> None:
    auth = parsed(
        {
            "google_oauth": {"client_id": "g", "hd": 5},
            "apple_oauth": {"client_id": "a"},
            "anonymous": {"enabled": False, "per_day": "many"},
            "redirect_uris": "none",
        }
    ).auth
    assert auth.google_oauth is None  # whoever wrote a domain did not mean any
    assert auth.oauth("apple") is not None
    assert (auth.anonymous.enabled, auth.anonymous.per_day) == (False, 0)
    assert auth.redirect_uris == []


def test_plans_are_groups() -> None:
    groups = {"stripe_basic": GROUP, "stripes": GROUP}
    by_name = parsed(stripe(), **groups)
    assert by_name.auth.stripe is not None
    assert [*by_name.auth.stripe.plans_among(by_name.user_groups.by_name)] == ["stripe_basic"]
    named = parsed(stripe(plans={"paid": {"price": "p"}, "gone": {}}), **groups)
    assert named.auth.stripe is not None
    found = named.auth.stripe.plans_among(named.user_groups.by_name)
    assert {name: plan.price for name, plan in found.items()} == {"paid": "p"}


@pytest.mark.parametrize(
    ("given", "secrets"), [("a", ("a",)), ("", ()), (["a", "", "b"], ("a", "b")), ([], ())]
)
def test_webhook_secrets(given: object, secrets: tuple[str, ...]) -> None:
    found = parsed(stripe(webhook_secret=given)).auth.stripe
    assert found is not None
    assert found.webhook_secrets == secrets
