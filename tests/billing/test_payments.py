"""What a payment gives, once; what the end of a plan leaves; what a refund takes."""

import asyncio
from contextlib import suppress

import pytest

from server.billing.payments import Orphan, Overtaken
from server.errors import InvalidApiKey
from server.metering.errors import PaymentRequired
from server.who import Who
from tests.billing.buyers import FREE, MONTH_MS, PLANS, Buyer

BASIC, MIDDLE, PREMIUM = PLANS.values()
ALL = 1.0


async def subscribe(buyer: Buyer, plan: str = "basic") -> None:
    await buyer.set_plan(plan)
    await buyer.refill(plan)


async def test_a_plan_gives_limits_at_once_and_tokens_when_paid(buyer: Buyer) -> None:
    await buyer.set_plan("basic")
    assert buyer.state() == ("basic", FREE, 0)
    assert buyer.record()["rateLimit"] == 1_000
    assert await buyer.refill("basic") == BASIC
    assert buyer.state() == ("basic", BASIC, 0)
    customer = await buyer.payments.customer(buyer.who)
    assert customer.subscription is not None
    assert (customer.subscription.plan, customer.subscription.status) == ("basic", "active")


async def test_a_payment_counts_once(buyer: Buyer) -> None:
    await buyer.set_plan("basic")
    given = [await buyer.refill("basic") for _ in range(5)]
    assert given == [BASIC, None, None, None, None]
    packs = await asyncio.gather(*(buyer.pack(300) for _ in range(5)))
    assert [each.replayed for each in packs].count(False) == 1
    assert {(each.tokens, each.tokens_left) for each in packs} == {(300, BASIC + 300)}
    assert buyer.state() == ("basic", BASIC + 300, 300)
    assert sorted(buyer.changes()[1:]) == [("pack", 300), ("refill", BASIC - FREE)]


async def test_a_period_is_refilled_once(buyer: Buyer) -> None:
    await subscribe(buyer)
    assert await buyer.refill("basic", field="invoice:another") == 0
    assert buyer.state() == ("basic", BASIC, 0)


async def test_a_renewal_replaces_the_allowance_and_keeps_packs(buyer: Buyer) -> None:
    await subscribe(buyer)
    await buyer.pack(300)
    await buyer.spend(1_000)
    await buyer.refill("basic", period=1)
    assert buyer.state() == ("basic", BASIC + 300, 300)
    await buyer.spend(BASIC + 100)
    await buyer.refill("basic", period=2)
    assert buyer.state() == ("basic", BASIC + 200, 200)


async def test_a_period_before_one_that_was_paid_for_gives_nothing(buyer: Buyer) -> None:
    await subscribe(buyer)
    await buyer.refill("premium", period=2)
    assert await buyer.refill("basic", period=1) == 0
    assert buyer.state() == ("basic", PREMIUM, 0)


async def test_an_upgrade_gives_its_part_of_the_difference(buyer: Buyer) -> None:
    await subscribe(buyer)
    await buyer.set_plan("premium")
    given = (PREMIUM - BASIC) // 2
    assert await buyer.upgrade("premium", 0.5) == given
    assert buyer.state() == ("premium", BASIC + given, 0)
    await buyer.set_plan("basic")
    for number in range(5):
        assert await buyer.upgrade("premium", 0.4, field=f"invoice:up{number}") == 0
    assert buyer.changes()[-6:][0] == ("upgrade", given)
    stranger = await buyer.upgrade("premium", 0.5, period=3, field="invoice:other")
    assert stranger == 0, "of a period that was not paid for"


async def test_a_downgrade_keeps_what_was_paid_for_until_the_renewal(buyer: Buyer) -> None:
    await subscribe(buyer, "premium")
    await buyer.set_plan("basic")
    assert buyer.state() == ("basic", PREMIUM, 0)
    await buyer.refill("basic", period=1)
    assert buyer.state() == ("basic", BASIC, 0)


async def test_the_end_of_a_plan_brings_back_what_was_before(buyer: Buyer) -> None:
    await buyer.spend(40)
    await subscribe(buyer)
    await buyer.pack(300)
    await buyer.spend(1_000)
    await buyer.set_plan()
    assert buyer.state() == ("free", FREE - 40 + 300, 300)
    assert buyer.record()["rateLimit"] == 10_000
    assert buyer.changes()[-1] == ("lapse", FREE - 40 - (BASIC - 1_000))
    assert (await buyer.payments.customer(buyer.who)).subscription is None
    for number in range(3):
        await buyer.set_plan("basic")
        await buyer.refill("basic", period=number + 1)
        await buyer.set_plan()
    assert buyer.state() == ("free", FREE - 40 + 300, 300)


async def test_a_plan_without_paid_tokens_leaves_the_allowance(buyer: Buyer) -> None:
    """Else who begins and ends trials would get what is free again and again."""
    await buyer.set_plan("basic")
    await buyer.spend(FREE)
    await buyer.set_plan()
    assert buyer.state() == ("free", 0, 0)
    assert buyer.changes()[-1] == ("lapse", 0)


async def test_a_payment_after_the_end_of_its_plan_gives_nothing(buyer: Buyer) -> None:
    await buyer.set_plan("basic")
    await buyer.set_plan()
    assert [await buyer.refill("basic") for _ in range(2)] == [0, None]
    assert buyer.state() == ("free", FREE, 0)


async def test_a_plan_of_which_nothing_more_is_heard_ends(buyer: Buyer) -> None:
    """Whatever reads the user next, be it a request that is refused."""
    await buyer.set_plan("basic", until_ms=buyer.starts_ms + MONTH_MS)
    await buyer.refill("basic")
    await buyer.pack(300)
    buyer.age_plan()
    with suppress(PaymentRequired):
        await buyer.spend(BASIC)
    assert buyer.state() == ("free", FREE + 300, 300)
    assert buyer.user.balance()["group"] == "free"
    assert [op for op, _ in buyer.changes()].count("lapse") == 1
    buyer.check()


async def test_a_plan_goes_on_when_it_is_heard_of_late(buyer: Buyer) -> None:
    await subscribe(buyer)
    buyer.age_plan()
    assert buyer.user.balance()["tokensLeft"] == FREE
    await buyer.set_plan("basic")
    await buyer.refill("basic", period=1)
    assert buyer.state() == ("basic", BASIC, 0)
    await buyer.set_plan()
    assert buyer.state() == ("free", FREE, 0)


async def test_an_older_answer_of_stripes_counts_no_more(buyer: Buyer) -> None:
    first, second = await buyer.ticket(), await buyer.ticket()
    with pytest.raises(Overtaken):
        await buyer.set_plan("premium", ticket=first)
    await buyer.set_plan(ticket=second)
    await buyer.set_plan("premium", ticket=first)
    await buyer.set_plan("premium", ticket=second)
    assert buyer.state() == ("free", FREE, 0)


async def test_a_trial_gives_tokens_once(buyer: Buyer) -> None:
    await buyer.set_plan("basic", status="trialing")
    assert await buyer.refill("basic", kind="trial") == BASIC
    await buyer.set_plan()
    await buyer.set_plan("premium", status="trialing")
    second = await buyer.refill("premium", period=1, kind="trial", of="another")
    assert (second, buyer.state()) == (0, ("premium", FREE, 0))
    assert await buyer.refill("premium", period=2, of="another") == PREMIUM
    await buyer.set_plan()
    assert buyer.state() == ("free", FREE, 0)


async def test_calls_under_way_are_paid_of_the_new_allowance(buyer: Buyer) -> None:
    hold_id = await buyer.hold(60)
    await subscribe(buyer)
    assert buyer.record()["tokensLeft"] == BASIC - 60
    assert await buyer.settle(hold_id, 80) == 80
    assert buyer.state() == ("basic", BASIC - 80, 0)
    await buyer.set_plan()
    assert buyer.state() == ("free", FREE, 0)


@pytest.mark.parametrize(("spent", "taken"), [(0, 300), (FREE + 100, 200), (FREE + 300, 0)])
async def test_a_refunded_pack_is_taken_back(buyer: Buyer, spent: int, taken: int) -> None:
    await buyer.pack(300)
    if spent:
        await buyer.spend(spent)
    assert await buyer.take_back("session:1", ALL) == taken
    assert await buyer.take_back("session:1", ALL) == 0
    left = FREE + 300 - spent - taken
    assert buyer.state() == ("free", left, 0)
    assert buyer.record()["overrun"] == 300 - taken
    assert [op for op, _ in buyer.changes()].count("refund") == 1
    buyer.check()


async def test_parts_that_are_refunded_add_up(buyer: Buyer) -> None:
    await buyer.pack(1_000)
    first, second, third = [await buyer.ticket() for _ in range(3)]
    with pytest.raises(Overtaken):
        await buyer.take_back("session:1", 1.0, first)
    assert await buyer.take_back("session:1", 0.25, third) == 250
    assert await buyer.take_back("session:1", 1.0, second) == 0, "an older answer"
    assert await buyer.take_back("session:1", 0.75) == 500
    assert buyer.state() == ("free", FREE + 250, 250)


async def test_a_dispute_that_is_won_gives_back_what_was_taken(buyer: Buyer) -> None:
    await buyer.pack(300)
    await buyer.spend(FREE + 100)
    assert await buyer.take_back("session:1", ALL, is_disputed=True) == 200
    assert (await buyer.payments.customer(buyer.who)).is_disputed
    assert await buyer.take_back("session:1", 0.0) == -200
    assert not (await buyer.payments.customer(buyer.who)).is_disputed
    assert buyer.state() == ("free", 200, 200)
    buyer.check()


async def test_holds_do_not_save_tokens_from_a_refund(buyer: Buyer) -> None:
    await buyer.pack(300)
    holds = [await buyer.hold(100) for _ in range(4)]
    assert await buyer.take_back("session:1", ALL) == 300
    assert buyer.state() == ("free", FREE, 0)
    assert not buyer.record()["holds"]
    assert await buyer.settle(holds[0], 70) == 70
    assert await buyer.settle(holds[1], 70) == FREE - 70, "of what is left"
    buyer.check()


async def test_a_refunded_period_takes_what_is_left_of_its_allowance(buyer: Buyer) -> None:
    await buyer.pack(300)
    await subscribe(buyer)
    await buyer.spend(4_000)
    assert await buyer.take_back("invoice:sub0", ALL) == 1_000
    assert buyer.state() == ("basic", 300, 300), "the pack is another payment's"
    assert buyer.record()["overrun"] == 4_000


async def test_a_period_that_is_over_gives_nothing_back(buyer: Buyer) -> None:
    await subscribe(buyer)
    await buyer.refill("basic", period=1)
    assert await buyer.take_back("invoice:sub0", ALL, is_disputed=True) == 0
    assert await buyer.take_back("invoice:sub0", 0.0) == 0
    assert buyer.state() == ("basic", BASIC, 0)
    await buyer.set_plan()
    assert await buyer.take_back("invoice:sub1", ALL) == 0
    assert buyer.state() == ("free", FREE, 0)


async def test_a_refund_of_what_gave_nothing_is_ignored(buyer: Buyer) -> None:
    assert await buyer.take_back("session:unknown", ALL) == 0
    assert len(buyer.changes()) == 1


async def test_what_is_for_nobody_is_an_orphan(buyer: Buyer) -> None:
    tenant_id, user_id = buyer.ids
    with pytest.raises(Orphan):
        await buyer.payments.ticket(user_id, "cus_of_another")
    with pytest.raises(Orphan):
        await buyer.pack(10**13)
    assert buyer.state() == ("free", FREE, 0)
    buyer.user.user_id = "nobody"
    for call in (buyer.pack(5), buyer.set_plan("basic", ticket=9), buyer.take_back("x", ALL, 9)):
        with pytest.raises(Orphan):
            await call
    with pytest.raises(InvalidApiKey):
        await buyer.payments.customer(Who(tenant_id, user_id, "no-key"))


async def test_a_user_stays_the_customer_that_it_was_first(buyer: Buyer) -> None:
    assert (await buyer.payments.customer(buyer.who, "cus_new")).customer_id == buyer.customer_id
    other = Who(buyer.ids[0], buyer.user.api.login().user_id, "")
    assert (await buyer.payments.customer(other, "cus_new")).customer_id == "cus_new"
    again = await buyer.payments.customer(other, "cus_newer")
    assert (again.customer_id, again.is_identified) == ("cus_new", False)


async def test_who_is_moved_falls_back_to_the_new_group(buyer: Buyer) -> None:
    await subscribe(buyer)
    await buyer.spend(1_000)
    moved = buyer.user.grant({"group": "paid"}).json()
    assert (moved["group"], moved["tokensLeft"]) == ("basic", 4_000)
    assert buyer.state() == ("basic", 4_000, 0)
    await buyer.pack(10)
    await buyer.set_plan()
    assert buyer.state() == ("paid", 5_010, 10)
    assert buyer.changes()[-3:] == [("group", 0), ("pack", 10), ("lapse", 1_000)]
    buyer.check()


async def test_a_move_before_the_first_tokens_of_a_plan(buyer: Buyer) -> None:
    await buyer.set_plan("basic")
    assert buyer.user.grant({"group": "paid"}).json()["tokensLeft"] == 5_000
    assert buyer.state() == ("basic", 5_000, 0)
    await buyer.spend(4_000)
    await buyer.refill("basic")
    assert buyer.state() == ("basic", 5_000, 0)
    await buyer.set_plan()
    assert buyer.state() == ("paid", 1_000, 0)
    buyer.check()
