"""`python -m server reconcile`: what Stripe's events did not bring is found, and mended."""

import subprocess
import sys

import pytest

from tests.metering.test_audit import audit
from tests.processes import ROOT
from tests.shop.lives import Life, Undisturbed
from tests.shop.shop import BASIC, FREE, PACK, Shop


def reconcile(shop: Shop, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "reconcile", *options]
    env = {
        "REDIS_URL": shop.valkey.url,
        "STRIPE_URL": shop.account.url,
        "ALLOW_PRIVATE_UPSTREAMS": "1",
    }
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


def of_tenant(shop: Shop) -> tuple[str, str]:
    return "--tenant", shop.api.tenant_id


def lines(told: subprocess.CompletedProcess[str]) -> list[str]:
    """Less those of the log."""
    return [line for line in told.stdout.splitlines() if not line.startswith("[")]


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_month_without_events_ends_as_one_with_them(
    shop: Shop, other_shop: Shop, seed: int
) -> None:
    shop.listen()
    calm = Undisturbed(shop, seed)
    calm.live()
    other_shop.listen(drop=["*"])
    deaf = Life(other_shop, seed)
    deaf.live()
    before = deaf.end()
    told = reconcile(other_shop, *of_tenant(other_shop), "--dry-run")
    assert deaf.end() == before
    mended = reconcile(other_shop, *of_tenant(other_shop))
    assert (mended.returncode, mended.stderr) == (told.returncode, "")
    assert lines(told)[:-1] == lines(mended)[:-1]
    assert (deaf.end(), deaf.paid()) == (calm.end(), calm.paid())
    again = reconcile(other_shop, *of_tenant(other_shop))
    users = int(bool(calm.paid()))
    assert (again.returncode, lines(again)) == (0, [f"reconcile: {users} users, 0 repaired"])
    calmly = reconcile(shop, *of_tenant(shop), "--dry-run")
    assert calmly.returncode == 0, calmly.stdout
    assert audit(shop.valkey, other_shop.api).returncode == 0


def test_what_is_wrong_is_told_by_its_ids(shop: Shop) -> None:
    buyer, other = shop.buyer(), shop.buyer()
    session = buyer.buy(pack="small")
    other.buy(plan="stripe_basic")
    told = reconcile(shop, *of_tenant(shop), "--dry-run")
    assert told.returncode == 1
    assert f"user {buyer.user_id}: session:{session.id} is not credited" in lines(told)
    assert f"user {other.user_id}: has plan none, at Stripe stripe_basic" in told.stdout
    assert lines(told)[-1] == "reconcile: 2 users, 2 to be repaired"
    assert (buyer.state(), other.state()) == (("google_logged_in", FREE),) * 2
    assert reconcile(shop, *of_tenant(shop)).returncode == 1
    assert buyer.state() == ("google_logged_in", FREE + PACK)
    assert other.state() == ("stripe_basic", BASIC)


def test_only_those_whose_events_were_not_delivered(shop: Shop) -> None:
    shop.listen()
    calm, disputed, buyer = shop.buyer(), shop.buyer(), shop.buyer()
    calm.buy(pack="small")
    session = disputed.buy(pack="small")
    shop.listen(drop=["*"])
    shop.account.ask("dispute", charge=disputed.charge_of(session).id)
    buyer.buy(plan="stripe_basic")
    told = reconcile(shop, *of_tenant(shop), "--undelivered")
    assert (told.returncode, lines(told)[-1]) == (1, "reconcile: 2 users, 2 repaired")
    assert disputed.state() == ("google_logged_in", FREE)
    assert buyer.state() == ("stripe_basic", BASIC)


def test_a_refund_and_a_dispute_that_nobody_told_of_are_found(shop: Shop) -> None:
    buyer = shop.buyer()
    sessions = [buyer.buy(pack="small") for _ in range(2)]
    buyer.synced()
    charges = shop.stripe.charges.list({"customer": sessions[0].customer}).data
    shop.stripe.refunds.create({"charge": charges[0].id, "amount": 350})
    shop.account.ask("dispute", charge=charges[1].id)
    told = reconcile(shop, *of_tenant(shop))
    assert told.returncode == 1
    assert "5000" in told.stdout
    assert "is disputed at Stripe" in told.stdout
    assert buyer.state() == ("google_logged_in", FREE + PACK // 2)
    assert reconcile(shop, *of_tenant(shop), "--dry-run").returncode == 0


def test_money_of_nobody_is_listed(shop: Shop) -> None:
    buyer = shop.buyer()
    session = buyer.buy(pack="small")
    shop.valkey.client.delete(f"user:{buyer.user_id}")
    told = reconcile(shop, *of_tenant(shop))
    assert told.returncode == 0
    assert f"orphan: {session.id} of {session.customer}: " in told.stdout


def test_a_user_that_cannot_be_read_keeps_no_other_from_it(shop: Shop) -> None:
    broken, buyer = shop.buyer(), shop.buyer()
    for each in (broken, buyer):
        each.buy(pack="small")
    shop.valkey.client.set(f"user:{broken.user_id}", "no user")
    told = reconcile(shop, *of_tenant(shop))
    assert (told.returncode, lines(told)[-1]) == (2, "reconcile: 2 users, 1 repaired")
    assert f"[ERROR] User {broken.user_id} of customer " in told.stderr
    assert buyer.state() == ("google_logged_in", FREE + PACK)


def test_what_is_too_old_is_not_looked_at(shop: Shop) -> None:
    buyer = shop.buyer()
    buyer.buy(pack="small")
    told = reconcile(shop, *of_tenant(shop), "--since", "2999-01-01")
    assert (told.returncode, lines(told)) == (0, ["reconcile: 0 users, 0 repaired"])


@pytest.mark.parametrize("what", ["no tenant", "sells nothing", "Stripe fails", "no date"])
def test_what_cannot_be_done_is_told(shop: Shop, what: str) -> None:
    of, more = of_tenant(shop), ()
    shop.buyer().buy(pack="small")
    if what == "no tenant":
        of = ("--tenant", "nobody")
    elif what == "no date":
        more = ("--since", "yesterday")  # type: ignore[assignment]
    elif what == "Stripe fails":
        shop.account.ask("fault", matches="GET /v1/", times=100, status=500)
    else:
        assert shop.api.put_config(shop.config | {"auth": {}}).status_code == 200
    told = reconcile(shop, *of, *more)
    assert (told.returncode, lines(told)) == (2, [])
    assert told.stderr
    assert shop.account.api_key not in told.stderr
