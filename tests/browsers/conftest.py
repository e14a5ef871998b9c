"""A visit of each browser to a page that does all that the tests ask about."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api import Api, User, config
from tests.browsers.browser import COMMANDS, Browser
from tests.browsers.site import Site
from tests.doubles import Answer, Double, Filler
from tests.doubles.challenges import Challenges
from tests.doubles.sign_in import SignInDouble
from tests.doubles.stripe_api import StripeDouble
from tests.endpoints import endpoint, text_config
from tests.node import Node
from tests.processes import ADMIN_TOKEN, ROOT, Server, Valkey, free_port
from tests.shop.shop import Shop

SECONDS = 90
LIMITED = {"tokens": 1000, "rate_limit": 1, "rate_limit_window": 3600}
POOR = {"tokens": 5, "rate_limit": 100, "rate_limit_window": 60}


@dataclass(frozen=True)
class Visit:
    """What a page found: by `openai`, `anthropic` or `fetching`, and case."""

    found: dict[str, dict[str, Any]]
    double: Double
    user: User


@pytest.fixture(scope="session")
def folder() -> Path:
    """With the page, and README's."""
    node = Node(Path(__file__).parent)
    esbuild = str(node.folder / "node_modules" / ".bin" / "esbuild")
    options = ["--bundle", "--format=esm", "--platform=browser", "--outdir=bundled"]
    node.run([esbuild, "page.js", "story.js", *options])
    return node.folder


@pytest.fixture(scope="session")
def gateway(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    output = tmp_path_factory.mktemp("gateway") / "out"
    with Server(output, REDIS_URL=valkey.url, ALLOW_PRIVATE_UPSTREAMS="1") as server:
        yield server


@pytest.fixture(scope="session")
def double() -> Iterator[SignInDouble]:
    with SignInDouble() as double:
        for operator in (double.google, double.apple):
            operator.client("my-app", secret="any")
        yield double


@pytest.fixture(scope="session")
def stripe_double() -> Iterator[StripeDouble]:
    with StripeDouble() as double:
        yield double


@pytest.fixture(scope="session")
def challenges() -> Iterator[Challenges]:
    with Challenges() as challenges:
        yield challenges


@pytest.fixture(scope="session")
def selling(
    valkey: Valkey,
    double: SignInDouble,
    stripe_double: StripeDouble,
    challenges: Challenges,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """With Google, Apple, Stripe and Turnstile, by a name that is another site to browsers than
    that of the pages."""
    output, port = tmp_path_factory.mktemp("selling") / "out", free_port()
    settings = {"PORT": str(port), "PUBLIC_URL": f"http://localhost:{port}", **double.settings}
    settings |= {"STRIPE_URL": stripe_double.url, "WORKERS": "2", "REDIS_URL": valkey.url}
    settings |= {"TURNSTILE_URL": f"{challenges.url}/turnstile"}
    with Server(output, wait=True, **settings) as server:
        yield server


@pytest.fixture
def shop(selling: Server, stripe_double: StripeDouble, valkey: Valkey) -> Iterator[Shop]:
    with httpx.Client(base_url=selling.url, timeout=20) as client:
        yield Shop(client, stripe_double, valkey)


@pytest.fixture(scope="session")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server whose Redis has ended, with a user that logged in before."""
    folder = tmp_path_factory.mktemp("away")
    valkey = Valkey(folder, maxmemory="1gb")
    with valkey, Server(folder / "out", REDIS_URL=valkey.url) as server:
        with httpx.Client(base_url=server.url) as client:
            user = Api.new_tenant(client).login()
        valkey.stop()
        yield {"url": server.url, **whose(user)}


@pytest.fixture(scope="session", params=COMMANDS)
def visit(
    request: pytest.FixtureRequest,
    folder: Path,
    gateway: Server,
    away: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Visit]:
    with ExitStack() as running:
        double = running.enter_context(Double())
        client = running.enter_context(httpx.Client(base_url=gateway.url, timeout=20))
        site = running.enter_context(Site(folder))
        apis = tenants(client, double, site.origin)
        user = apis["main"].login()
        settings = {
            "url": gateway.url,
            **whose(user),
            "poorKey": in_group(apis["main"], "poor").api_key,
            "limitedKey": used_up(in_group(apis["main"], "limited")).api_key,
            "adminToken": ADMIN_TOKEN,
            **{name: whose(api.login()) for name, api in apis.items() if name != "main"},
            "away": away,
            "long": "long " * 100,
            "endless": double.script("endless", Answer(pieces=Filler(10_000, 10), pause=0.01)),
            "readme": readme(folder, gateway.url, apis["main"].tenant_id),
        }
        home = tmp_path_factory.mktemp(request.param)
        with Browser(request.param, home, site.page(settings)):
            yield Visit(site.found(SECONDS), double, user)


def tenants(client: httpx.Client, double: Double, origin: str) -> dict[str, Api]:
    """The usual one; one without models; one for this origin alone, one for another's."""
    endpoints = {"main": endpoint(double.url)}
    usual = {"tokens": 100_000, "rate_limit": 1000, "rate_limit_window": 60}
    main = text_config(endpoints, anonymous=usual, poor=POOR, limited=LIMITED)
    configs = {
        "main": main,
        "withoutModels": config(anonymous=usual),
        "listed": {**main, "allowed_origins": [origin]},
        "foreign": {**main, "allowed_origins": ["https://app.example.com"]},
    }
    return {name: Api.new_tenant(client, value) for name, value in configs.items()}


def whose(user: User) -> dict[str, str]:
    return {"tenant": user.api.tenant_id, "key": user.api_key}


def in_group(api: Api, group: str) -> User:
    user = api.login()
    assert user.grant({"group": group}).status_code == 200
    return user


def used_up(user: User) -> User:
    """Its rate limit, for an hour."""
    assert user.charge().status_code == 200
    return user


def readme(folder: Path, url: str, tenant: str) -> str:
    """README's page as a module of the site, for this tenant; its address."""
    text = (ROOT / "README.md").read_text()
    _, _, begun = text.partition("```js\n")
    program, _, _ = begun.partition("```")
    program = program.replace("http://localhost:3000", url).replace('"abc"', f'"{tenant}"')
    (folder / "readme.js").write_text(program)
    return "/readme.js"
