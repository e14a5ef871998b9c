"""One who signs in by the page of docs/sign-in.md, and buys, in a browser, at the doubles of Google
and Stripe."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api import ADMIN, Api
from tests.browsers.site import Site
from tests.browsers.test_sign_in import PAGE, App, config_of, the_page
from tests.doubles.sign_in import SignInDouble
from tests.metering.test_audit import audit
from tests.shop.shop import BASIC, PACK, Shop, group
from tests.shop.test_reconcile import lines, reconcile

FREE = 1_000


@pytest.fixture
def app(folder: Path, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with Site(folder) as site:
        signing = config_of(site)
        auth = {**shop.config["auth"], **signing["auth"]}
        groups = {**signing["user_groups"], "stripe_basic": group(BASIC)}
        changed = {**signing, "auth": auth, "user_groups": groups}
        assert shop.api.put_config(changed).status_code == 200
        page = the_page(shop.api).replace("<script", '<script src="early.js"></script><script', 1)
        (folder / PAGE).write_text(page)
        yield App(site, shop.api, lambda: tmp_path_factory.mktemp("chromium"), "chromium")


def balance(api: Api, found: dict[str, Any]) -> tuple[str, int]:
    told = api.get(f"/admin/users/{found['userId']}", ADMIN).json()
    return told["group"], told["tokensLeft"]


def test_a_life_in_a_browser(app: App, shop: Shop, double: SignInDouble) -> None:
    shop.listen()
    double.google.do("person", sub=uuid4().hex, name="Ada Lovelace")
    way = ("arrive", "google", "back", "buyPlan", "bought", "spend", "buyPack", "bought")
    _, back, bought, spent, packed = app.visit(*way)
    assert (back["group"], back["tokensLeft"]) == ("google_logged_in", FREE)
    early = bought["early"]
    assert (early["readyState"], early["group"]) == ("loading", "stripe_basic")
    assert early["tokensLeft"] == bought["tokensLeft"] == BASIC
    assert spent["tokensLeft"] == BASIC - 5
    assert packed["early"]["tokensLeft"] == BASIC - 5 + PACK

    shop.account.ask("clock", days=31)
    shop.finish()
    assert balance(shop.api, back) == ("stripe_basic", BASIC + PACK)
    _, again, cancelled = app.visit("arrive", "google", "back", "cancel", "bought")
    assert again["userId"] == back["userId"]
    shop.finish()
    assert cancelled["tokensLeft"] == BASIC + PACK
    shop.account.ask("clock", days=31)
    shop.finish()
    assert balance(shop.api, back) == ("google_logged_in", FREE + PACK)

    told = reconcile(shop, "--tenant", shop.api.tenant_id, "--dry-run")
    assert (told.returncode, lines(told)) == (0, ["reconcile: 1 users, 0 to be repaired"])
    clean = audit(shop.valkey, shop.api)
    assert clean.returncode == 0, clean.stdout
