"""emulate's Apple."""

from tests.api import Api, User
from tests.login_providers.trip import PUBLIC_URL, Trip
from tests.processes import Valkey
from tests.sign_in_elsewhere.emulate import PERSON, Emulate


def signed_in(app: Api, apple: Emulate, key: str = "") -> dict[str, object]:
    """The reply to the exchange."""
    trip = Trip(app, "apple")
    action, form = apple.sign_in(trip.leave())
    assert action == f"{PUBLIC_URL}/{app.tenant_id}/auth/apple/callback"
    reply = trip.exchange(trip.at_app(trip.come_back(form))["code"], key)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_apples_form_its_name_and_the_end(app: Api, apple: Emulate, valkey: Valkey) -> None:
    anonymous = app.login()
    first = signed_in(app, apple, anonymous.api_key)
    assert (first["userId"], first["linked"]) == (anonymous.user_id, True)
    profile = {"email": PERSON, "emailVerified": True, "name": "Ada Lovelace"}
    assert first["profile"] == profile
    again = signed_in(app, apple)
    assert again["userId"] == anonymous.user_id
    assert again["profile"] == {**profile, "name": None}, "it comes once"

    user = User(app, again)
    me = app.get("/auth/me", user.headers).json()
    assert (me["email"], me["name"]) == (PERSON, "Ada Lovelace")
    token = str(valkey.client.hget(f"{{user:{user.user_id}}}:account", "appleToken"))
    assert apple.renews(token)
    reply = app.client.request("DELETE", f"/{app.tenant_id}/auth/me", headers=user.headers)
    assert reply.status_code == 204, reply.text
    assert not apple.renews(token), "Apple has been told"
