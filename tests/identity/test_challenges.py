"""Anonymous logins of tenants that want a challenge solved."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest

from tests.api import ADMIN, Api, config
from tests.doubles.challenges import SECRET, Challenges
from tests.hurried import LIMIT_SECONDS, Hurried
from tests.identity.logins import PER_HOUR, PER_MINUTE, age, window_key, windows
from tests.metrics.scrape import scrape
from tests.processes import Valkey

PROVIDERS = ("turnstile", "hcaptcha", "recaptcha")
FAILED = (403, {"error": "Challenge failed"})
UNAVAILABLE = (503, {"error": "Service Unavailable"})
_addresses = count(1)


@pytest.fixture(scope="module")
def challenges() -> Iterator[Challenges]:
    with Challenges() as challenges:
        yield challenges


@pytest.fixture(scope="module")
def hurried(
    valkey: Valkey, challenges: Challenges, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hurried]:
    urls = {f"{name.upper()}_URL": f"{challenges.url}/{name}" for name in PROVIDERS}
    output = tmp_path_factory.mktemp("challenges") / "out"
    settings = {"WORKERS": "2", "PROXIES_COUNT": "1", **urls}
    settings |= {"ANONYMOUS_LOGINS_PER_MINUTE": str(PER_MINUTE)}
    settings |= {"ANONYMOUS_LOGINS_PER_HOUR": str(PER_HOUR)}
    with Hurried(output, valkey.url, {"challenge": LIMIT_SECONDS}, **settings) as server:
        yield server


@pytest.fixture
def client(hurried: Hurried) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hurried.url, timeout=10) as client:
        yield client


def tenant(client: httpx.Client, provider: str = "turnstile", **members: object) -> Api:
    challenge = {"provider": provider, "secret": SECRET, **members}
    return Api.new_tenant(client, config() | {"auth": {"anonymous": {"challenge": challenge}}})


def login(api: Api, body: object, address: str = "") -> httpx.Response:
    """From this address, or one that nobody else has."""
    number = next(_addresses)
    address = address or f"198.51.{number // 256}.{number % 256}"
    return api.post("/auth/anonymous", body, {"x-forwarded-for": address})


def answer(reply: httpx.Response) -> tuple[int, Any]:
    return reply.status_code, reply.json()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_solved_one_opens_once(
    client: httpx.Client, challenges: Challenges, provider: str
) -> None:
    api, token = tenant(client, provider), challenges.solve(provider)
    reply = login(api, {"challenge": token})
    assert reply.status_code == 200, reply.text
    key = {"Authorization": f"Bearer {reply.json()['apiKey']}"}
    assert api.post("/charges", {"tokens": 1}, key).status_code == 200
    assert answer(login(api, {"challenge": token})) == FAILED
    assert challenges.asked(provider).count(token) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_one_that_is_not_solved_does_not(
    client: httpx.Client, valkey: Valkey, challenges: Challenges, provider: str
) -> None:
    api, users = tenant(client, provider), set(valkey.client.scan_iter("user:*", count=1000))
    assert answer(login(api, {"challenge": "made-up"})) == FAILED
    used = challenges.solve(provider, times=0)
    assert answer(login(api, {"challenge": used})) == FAILED
    assert login(api, {"challenge": used}).headers["x-should-retry"] == "false"
    assert set(valkey.client.scan_iter("user:*", count=1000)) == users


@pytest.mark.parametrize("body", [None, {}, {"challenge": ""}])
def test_without_one_nobody_is_asked(
    client: httpx.Client, valkey: Valkey, challenges: Challenges, body: object
) -> None:
    api, asked = tenant(client), challenges.asked("turnstile")
    assert answer(login(api, body)) == FAILED
    assert challenges.asked("turnstile") == asked
    assert windows(valkey, api) == set()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[", 400),
        (b'{"challenge": 5}', 422),
        (b'{"challenge": null}', 422),
        (b'{"challenge": ["a"]}', 422),
        (b'{"challenge": "a b"}', 422),
        ('{"challenge": "ä"}'.encode(), 422),
        (b'{"challenge": "%b"}' % (b"a" * 8_001), 422),
        (b'{"token": "a"}', 422),
        (b'{"challenge": "%b"}' % (b"a" * 8_200), 413),
    ],
)
def test_what_is_no_token_is_told_so(
    client: httpx.Client, valkey: Valkey, challenges: Challenges, content: bytes, status: int
) -> None:
    api, asked = tenant(client), challenges.asked("turnstile")
    reply = client.post(f"/{api.tenant_id}/auth/anonymous", content=content)
    assert reply.status_code == status, reply.text
    assert challenges.asked("turnstile") == asked
    assert windows(valkey, api) == set()


def test_a_body_in_chunks_is_bounded_too(client: httpx.Client) -> None:
    path = f"/{tenant(client).tenant_id}/auth/anonymous"
    pieces = [b'{"challenge": "', *[b"a" * 1_000] * 10, b'"}']
    assert client.post(path, content=iter(pieces)).status_code == 413


def test_a_token_of_8_000_characters_is_passed_on(
    client: httpx.Client, challenges: Challenges
) -> None:
    token = "+&=%" * 2_000
    assert answer(login(tenant(client), {"challenge": token})) == FAILED
    assert token in challenges.asked("turnstile")


@pytest.mark.parametrize(
    ("hostnames", "hostname", "is_good"),
    [
        (["a.example", "app.example.com"], "app.example.com", True),
        (["localhost"], "localhost", True),
        ([], "evil.example", True),
        (["app.example.com"], "evil.example", False),
        (["app.example.com"], "evil.app.example.com", False),
        (["app.example.com"], "app.example.com.evil.example", False),
        (["app.example.com"], None, False),
        (["app.example.com"], ["app.example.com"], False),
    ],
)
def test_it_must_be_solved_on_a_page_of_the_tenants(
    client: httpx.Client,
    challenges: Challenges,
    hostnames: list[str],
    hostname: object,
    is_good: bool,
) -> None:
    api = tenant(client, hostnames=hostnames)
    token = challenges.solve("turnstile", hostname=hostname)
    assert (login(api, {"challenge": token}).status_code == 200) is is_good


@pytest.mark.parametrize(
    ("provider", "least", "score", "is_good"),
    [
        ("recaptcha", {}, 0.5, True),
        ("recaptcha", {}, 0.4, False),
        ("recaptcha", {}, 1, True),
        ("recaptcha", {}, None, True),  # of reCAPTCHA v2
        ("recaptcha", {"min_score": 0.9}, 0.8, False),
        ("recaptcha", {"min_score": 0}, 0, True),
        ("recaptcha", {}, "0.9", False),
        ("recaptcha", {}, True, False),
        ("hcaptcha", {}, 0.1, True),  # of risk
    ],
)
def test_scores(
    client: httpx.Client,
    challenges: Challenges,
    provider: str,
    least: dict[str, float],
    score: object,
    is_good: bool,
) -> None:
    api, token = tenant(client, provider, **least), challenges.solve(provider, score=score)
    assert (login(api, {"challenge": token}).status_code == 200) is is_good


SAYS = [
    {"says": ""},
    {"says": "<html>"},
    {"says": "[]"},
    {"says": "{}"},
    {"says": "true"},
    {"says": '{"success": 1}'},
    {"says": '{"success": "true"}'},
    {"says": '{"success": true}', "status": 201},
    {"says": '{"success": true}', "status": 302},
    {"says": '{"success": true}', "status": 429},
    {"says": '{"success": false}', "status": 500},
    {"says": '{"success": true, "x": "' + "x" * 20_000 + '"}'},
    {"says": '{"success": true}', "delay": 3 * LIMIT_SECONDS},
    {"says": '{"success": false, "error-codes": ["internal-error"]}'},
    {"says": '{"success": false, "error-codes": ["invalid-input-secret"]}', "status": 400},
]


@pytest.mark.parametrize("members", SAYS)
def test_where_nobody_can_say_it_is_503_and_the_token_may_come_again(
    client: httpx.Client, valkey: Valkey, challenges: Challenges, members: dict[str, Any]
) -> None:
    api, users = tenant(client), set(valkey.client.scan_iter("user:*", count=1000))
    token = challenges.solve("turnstile", **members)
    reply = login(api, {"challenge": token})
    assert answer(reply) == UNAVAILABLE
    assert reply.headers["retry-after"] == "1"
    assert set(valkey.client.scan_iter("user:*", count=1000)) == users
    assert answer(login(api, {"challenge": token})) == UNAVAILABLE
    assert challenges.asked("turnstile").count(token) == 2


@pytest.mark.parametrize("codes", ["null", '"x"', "[{}]", '[["internal-error"]]', '["other"]'])
def test_whatever_the_reason_a_no_is_a_no(
    client: httpx.Client, challenges: Challenges, codes: str
) -> None:
    says = f'{{"success": false, "error-codes": {codes}}}'
    token = challenges.solve("turnstile", says=says, status=400)
    assert answer(login(tenant(client), {"challenge": token})) == FAILED


def test_of_many_logins_with_one_token_one_is_served(
    client: httpx.Client, challenges: Challenges
) -> None:
    """Though its provider would take it each time."""
    api, token = tenant(client), challenges.solve("turnstile", times=100)
    with ThreadPoolExecutor(10) as pool:
        found = pool.map(lambda _: login(api, {"challenge": token}).status_code, range(30))
    assert sorted(found) == [200] + [403] * 29
    assert challenges.asked("turnstile").count(token) == 1


def test_it_is_remembered_for_5_minutes_and_not_as_it_is(
    client: httpx.Client, valkey: Valkey, challenges: Challenges
) -> None:
    api, token = tenant(client), challenges.solve("turnstile", times=2)
    assert login(api, {"challenge": token}).status_code == 200
    [name] = [window for window in windows(valkey, api) if window.startswith("challenge:")]
    assert token not in name
    assert 290_000 < int(str(valkey.client.pttl(window_key(api, name)))) <= 300_000
    assert login(tenant(client), {"challenge": token}).status_code == 200  # each for itself


def test_an_address_makes_us_ask_no_more_often_than_it_may_log_in(
    client: httpx.Client, valkey: Valkey, challenges: Challenges
) -> None:
    api, address = tenant(client), "192.0.2.7"
    asked = len(challenges.asked("turnstile"))
    found = [login(api, {"challenge": f"guess-{n}"}, address).status_code for n in range(10)]
    assert found == [403] * PER_MINUTE + [429] * (10 - PER_MINUTE)
    assert len(challenges.asked("turnstile")) == asked + PER_MINUTE
    age(valkey, api, f"minute:{address}/32", 60_000)
    token = challenges.solve("turnstile")
    assert login(api, {"challenge": token}, address).status_code == 200


def test_only_solved_ones_count_for_the_tenant(
    client: httpx.Client, valkey: Valkey, challenges: Challenges
) -> None:
    """Else strangers could use up a tenant's logins without solving any."""
    api = tenant(client)
    value = client.get(f"/{api.tenant_id}/admin/config", headers=ADMIN).json()["config"]
    value["auth"]["anonymous"]["per_day"] = 2
    assert api.put_config(value | {"limits": {"logins_per_hour": 2}}).status_code == 200
    for number in range(5):
        assert answer(login(api, {"challenge": f"other-guess-{number}"})) == FAILED
    assert {"hour", "day"}.isdisjoint(windows(valkey, api))
    tokens = [challenges.solve("turnstile") for _ in range(3)]
    found = [login(api, {"challenge": token}).status_code for token in tokens]
    assert found == [200, 200, 429]
    assert tokens[2] not in challenges.asked("turnstile")  # and it is good for tomorrow
    age(valkey, api, "hour", 3_600_000)
    age(valkey, api, "day", 86_400_000)
    assert login(api, {"challenge": tokens[2]}).status_code == 200


def test_the_secret_is_nowhere(
    client: httpx.Client, challenges: Challenges, hurried: Hurried
) -> None:
    wrong = "Another-Secret-4711"
    api, token = tenant(client, secret=wrong), challenges.solve("turnstile")
    reply = login(api, {"challenge": token})
    assert answer(reply) == UNAVAILABLE
    line = f"[ERROR] Challenge of tenant {api.tenant_id}, turnstile: invalid-input-secret"
    assert line in hurried.text()
    for secret in (wrong, SECRET, token):
        assert secret not in hurried.text() + reply.text + json.dumps(dict(reply.headers))


def test_they_are_counted(client: httpx.Client, challenges: Challenges) -> None:
    api = tenant(client)
    login(api, {"challenge": challenges.solve("turnstile")})
    login(api, {"challenge": "nobody's"})
    login(api, {"challenge": challenges.solve("turnstile", says="")})
    found = scrape(client)
    for outcome in ("logged_in", "challenge_failed", "challenge_unavailable"):
        labels = {"tenant": api.tenant_id, "outcome": outcome}
        assert found.value("vibe_logins_total", **labels) == 1


def test_a_page_may_send_it(client: httpx.Client, challenges: Challenges) -> None:
    api, page = tenant(client), {"Origin": "https://app.example.com"}
    asks = {"Access-Control-Request-Method": "POST"}
    asks |= {"Access-Control-Request-Headers": "content-type"}
    path = f"/{api.tenant_id}/auth/anonymous"
    preflight = client.options(path, headers={**page, **asks})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "content-type"
    made = httpx.post(f"{challenges.url}/turnstile/tokens", json={}, headers=page)
    body = {"challenge": made.json()["token"]}
    reply = client.post(path, json=body, headers=page)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, "*")
    refused = client.post(path, json=body, headers=page)
    assert answer(refused) == FAILED
    assert refused.headers["access-control-allow-origin"] == "*"
