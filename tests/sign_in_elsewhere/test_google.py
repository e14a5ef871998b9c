"""nanoidp in Google's place."""

import re

import pytest

from tests.api import Api, config
from tests.login_providers.signing import GROUP
from tests.login_providers.trip import HOME, Trip
from tests.processes import Server
from tests.sign_in_elsewhere.nanoidp import CLIENT, Nanoidp


def test_the_ladder(app: Api, google: Nanoidp) -> None:
    anonymous = app.login()
    assert anonymous.charge(60).status_code == 200
    replies = []
    for key in (anonymous.api_key, ""):
        trip = Trip(app)
        back = trip.come_back(google.sign_in(trip.leave(), "ada"))
        reply = trip.exchange(trip.at_app(back)["code"], key)
        assert reply.status_code == 200, reply.text
        replies.append(reply.json())
    assert [reply["userId"] for reply in replies] == [anonymous.user_id] * 2
    assert [reply["tokensLeft"] for reply in replies] == [1_000] * 2
    assert [reply["linked"] for reply in replies] == [True, False]
    trip = Trip(app)
    back = trip.come_back(google.sign_in(trip.leave(), "grace"))
    other = trip.exchange(trip.at_app(back)["code"], anonymous.api_key).json()
    assert (other["created"], other["userId"] != anonymous.user_id) == (True, True)


def test_new_keys_work_at_once(app: Api, google: Nanoidp) -> None:
    users = set()
    for _ in range(2):
        trip = Trip(app)
        back = trip.come_back(google.sign_in(trip.leave(), "ada"))
        users.add(trip.exchange(trip.at_app(back)["code"]).json()["userId"])
        google.rotate_keys()
    assert len(users) == 1


@pytest.mark.parametrize("what", ["code_challenge", "nonce"])
def test_what_was_changed_on_the_way_is_noticed(app: Api, google: Nanoidp, what: str) -> None:
    trip = Trip(app)
    page = re.sub(rf"\b{what}=[^&]+", f"{what}={'x' * 43}", trip.leave())
    assert trip.at_app(trip.come_back(google.sign_in(page, "ada"))) == {"error": "server_error"}


def test_a_wrong_secret_is_told_to_the_log(app: Api, google: Nanoidp, signing: Server) -> None:
    wrong = {**CLIENT, "client_secret": "wrong"}
    auth = {"google_oauth": wrong, "redirect_uris": [HOME]}
    assert app.put_config(config(**GROUP) | {"auth": auth}).status_code == 200
    trip = Trip(app)
    back = trip.come_back(google.sign_in(trip.leave(), "ada"))
    assert trip.at_app(back) == {"error": "server_error"}
    said = f"[ERROR] Tenant {app.tenant_id}: google refuses its client ID and secret"
    assert said in signing.text()
