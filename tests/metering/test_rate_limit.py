"""The rate limit and its clock: one window, from any moment, whatever had been admitted before."""

import pytest

from tests.api import Api, User, config
from tests.metering.exactness import login
from tests.processes import Valkey
from tests.stored import left_ms, rate_key, record, set_admissions

WINDOW_MS = 60_000
LIMIT = 5


@pytest.fixture
def limited(api: Api) -> User:
    return login(api, rate_limit=LIMIT, rate_limit_window=WINDOW_MS // 1000)[0]


def test_the_limit_counts_one_window_and_says_when_it_ends(valkey: Valkey, limited: User) -> None:
    set_admissions(valkey, limited, [100, 100, 100, 100, 60_001])
    admitted = limited.charge()
    assert admitted.status_code == 200
    assert admitted.headers["ratelimit-policy"] == '"requests";q=5;w=60'
    assert admitted.headers["ratelimit"] == '"requests";r=0;t=60'
    set_admissions(valkey, limited, [100, 100, 100, 100, 30_050])
    refused = limited.charge()
    assert refused.status_code == 429
    assert refused.json() == {"error": "Too Many Requests"}
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["ratelimit"] == '"requests";r=0;t=30'
    assert limited.balance()["tokensUsed"] == 1


def test_the_first_request_opens_a_window(limited: User) -> None:
    assert limited.charge().headers["ratelimit"] == '"requests";r=4;t=60'
    assert limited.hold({"tokens": 1}).headers["ratelimit"] == '"requests";r=3;t=60'


@pytest.mark.parametrize("total", [1, 2, 3, 9, 20])
def test_just_those_that_have_left_the_window_are_forgotten(
    api: Api, valkey: Valkey, total: int
) -> None:
    """However many they are: they are looked for in growing steps."""
    (user,) = login(api, rate_limit=20, rate_limit_window=60)
    for gone in range(total + 1):
        set_admissions(valkey, user, [59_000 - total] * (total - gone) + [60_001] * gone)
        assert user.balance()["rateRemaining"] == 20 - (total - gone)
        assert valkey.client.llen(rate_key(user)) == total - gone


def test_a_clock_that_went_back(valkey: Valkey, limited: User) -> None:
    """By less than a second, times to come are now; by more, they are forgotten."""
    set_admissions(valkey, limited, [-900] * 5)
    refused = limited.charge()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    set_admissions(valkey, limited, [-900] * 4)
    admitted = limited.charge()
    assert admitted.headers["ratelimit"] == '"requests";r=0;t=60'
    assert limited.charge().status_code == 429
    set_admissions(valkey, limited, [-60_000] * 5)
    assert [limited.charge().status_code for _ in range(6)] == [200] * 5 + [429]


def test_a_lowered_limit_says_when_one_more_fits(api: Api, valkey: Valkey, limited: User) -> None:
    """Not when the first leaves: there are too many of them still."""
    few = {"tokens": 100, "rate_limit": 2, "rate_limit_window": 60}
    assert api.put_config(config(few=few)).status_code == 200
    assert limited.grant({"group": "few"}).status_code == 200
    set_admissions(valkey, limited, [1_050, 20_050, 30_050, 40_050, 50_050])
    refused = limited.charge()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
    assert refused.headers["ratelimit"] == '"requests";r=0;t=10'


def test_the_list_expires_with_its_window(valkey: Valkey, limited: User) -> None:
    """And a second later, for a clock that goes back."""
    for ask in (limited.charge, lambda: limited.hold({"tokens": 1})):
        valkey.client.persist(rate_key(limited))
        assert ask().status_code < 300
        left = left_ms(valkey, rate_key(limited))
        assert WINDOW_MS < left <= WINDOW_MS + 1_000


def test_refusals_do_not_count(valkey: Valkey, limited: User) -> None:
    for _ in range(3):
        assert limited.charge(1_000_001).status_code == 402
        assert limited.hold({"tokens": 1_000_001}).status_code == 402
    assert limited.balance()["rateRemaining"] == LIMIT
    assert record(valkey, limited)["entries"] == 1
