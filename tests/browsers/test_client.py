"""/client.js on an app's page of another site, under a strict policy, with all doubles: a life in
two tabs, and in another profile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api import Api, config
from tests.browsers.browser import COMMANDS
from tests.browsers.site import Site
from tests.browsers.story import PAGE, Found, Restarting, Story
from tests.doubles import Answer, Double, Filler
from tests.doubles.challenges import SECRET, Challenges
from tests.doubles.realtime import RealtimeDouble
from tests.doubles.sign_in import SignInDouble
from tests.endpoints import endpoint, voice_config
from tests.processes import Valkey
from tests.shop.shop import PACK, Shop, group

FREE, SIGNED_IN = 200, 5_000
ANSWER = "One two three four five. "
TIMES = 10
ARRIVING = ("begin", "arrive", "documented", "chat", "tooMuch", "wrong", "comeBackInVain")
SPENDING = ("sdks", "leaveAStream", "talk", "restrict", "elsewhere", "end")
FIRST = (
    *("openTogether", *ARRIVING, "buyUnsigned", "loseAReply", "challenged", "chatUntil402"),
    *("google", "back", "buyPack", "bought", *SPENDING),
)
OTHER = (
    *("arrive", "google", "back", "who", "unpaidSdk", "revoked", "google", "back"),
    *("manage", "bought", "signOut", "arrive", "revoked", "outlive"),
)


@pytest.fixture(scope="module")
def chats() -> Iterator[Double]:
    with Double(Answer(pieces=[f"{word} " for word in ANSWER.split()])) as double:
        yield double


@pytest.fixture(scope="module")
def voices() -> Iterator[RealtimeDouble]:
    with RealtimeDouble() as double:
        yield double


@pytest.fixture(params=COMMANDS)
def story(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Story]:
    with Site(folder) as site:
        yield Story(request.param, site, folder, lambda: tmp_path_factory.mktemp(request.param))


@pytest.fixture
def api(story: Story, shop: Shop, chats: Double, voices: RealtimeDouble) -> Api:
    """A tenant that has everything."""
    sign_in = {"client_id": "my-app", "client_secret": "any"}
    auth = {"google_oauth": sign_in, "redirect_uris": [story.page]}
    endpoints = {
        "main": endpoint(chats.url),
        "anthropic": endpoint(chats.url, "anthropic"),
    }
    changed = {
        "auth": {**shop.config["auth"], **auth},
        "user_groups": {"anonymous": group(FREE), "google_logged_in": group(SIGNED_IN)},
        "providers": {
            "text": {"endpoints": endpoints, "default": "main"},
            **voice_config(voices.url)["providers"],
        },
    }
    assert shop.api.put_config(changed).status_code == 200
    shop.listen()
    return shop.api


@pytest.fixture
def restarting(valkey: Valkey, tmp_path: Path) -> Iterator[Restarting]:
    restarting = Restarting(valkey, tmp_path)
    yield restarting
    restarting.stop()


def test_a_life_in_two_tabs_and_another_profile(
    story: Story,
    api: Api,
    chats: Double,
    double: SignInDouble,
    challenges: Challenges,
    restarting: Restarting,
) -> None:
    double.google.do("person", sub=uuid4().hex, name="Ada Lovelace")
    tenants = [Api.new_tenant(api.client).tenant_id for _ in range(TIMES)]
    challenge = {"anonymous": {"challenge": {"provider": "turnstile", "secret": SECRET}}}
    plan: dict[str, Any] = {
        "other": story.address(api, "openTogether", "watch", tenants=tenants),
        "tenants": tenants,
        "challenged": Api.new_tenant(api.client, config() | {"auth": challenge}).tenant_id,
        "tokens": f"{challenges.url}/turnstile/tokens",
        "documented": story.documented(api),
        "endless": chats.script(uuid4().hex, Answer(pieces=Filler(10_000, 10), pause=0.01)),
    }
    with story.open(story.address(api, *FIRST, **plan)):
        watched, first = sorted((story.found() for _ in range(2)), key=len)
    made_one_user_each(watched[0], first[0])
    user_id = arrived_and_spent(first[1:12])
    became_the_account(story, user_id, first[12:14])
    left = spent_as_one_who_has_signed_in(first[14:])
    heard_of_it_all(watched[1], user_id, left)

    file = f"{uuid4()}.txt"
    plan = {"restarting": restarting.options, "restarted": f"/{file}"}
    with story.open(story.address(api, *OTHER, **plan)):
        assert story.said() == "charging"
        restarting.stop()
        restarting.start()
        (story.folder / file).write_text("It is.")
        assert story.said() == "restarted"
        restarting.stop()
        assert story.said() == "away"
        restarting.start()
        other = story.found()
    was_the_same_elsewhere(other[:3], user_id, left)
    signed_in_again_after_a_revocation(other[3:7], user_id, left)
    went_on_as_somebody_new(other[7:10], user_id)
    outlived_the_server(other[10])


def made_one_user_each(*tabs: Found) -> None:
    one, other = (tab["users"] for tab in tabs)
    assert one == other
    assert len(set(one)) == TIMES


def arrived_and_spent(found: list[Found]) -> str:
    """The user's ID."""
    _, arrived, documented, chat, much, wrong, vain, unsigned, *others = found
    lost, challenged, unpaid = others
    assert (arrived["group"], arrived["balance"]) == ("anonymous", FREE)
    assert arrived["user"] == {"userId": arrived["userId"], "signedIn": False}
    assert (documented["shown"], documented["answer"]) == (FREE, ANSWER)
    assert documented["left"] == chat["before"]
    assert ANSWER.split()[0] in chat["text"]
    assert chat["before"] > chat["heard"] == chat["after"] == chat["balance"]
    assert (much["kind"], much["status"], much["tokensLeft"]) == ("payment", 402, chat["after"])
    assert (wrong["kind"], wrong["status"]) == ("refused", 422)
    assert vain["found"] == [
        ["Not signed in: access_denied", "?room=5"],
        ["Invalid code", "?room=5"],
        [None, "?state=2&code=of-others"],
    ]
    assert vain["user"] == arrived["user"]
    assert (unsigned["kind"], unsigned["message"]) == ("sign-in", "Login required")
    assert len(lost["keys"]) == 2
    assert len(set(lost["keys"])) == 1
    assert lost["left"] == lost["after"] == lost["before"] - 5
    assert challenged["unsolved"] == {"kind": "refused", "message": "Challenge failed"}
    assert challenged["userId"]
    assert unpaid["isOurs"]
    assert (unpaid["kind"], unpaid["tokensLeft"]) == ("payment", unpaid["left"])
    assert unpaid["heard"][-1] == ["refused", "payment"]
    return str(arrived["userId"])


def became_the_account(story: Story, user_id: str, found: list[Found]) -> None:
    back, bought = found
    assert back["user"] == {"userId": user_id, "signedIn": True}
    assert (back["group"], back["balance"]) == ("google_logged_in", SIGNED_IN)
    assert back["returned"]["linked"]
    assert back["returned"]["previousUserId"] is None
    assert back["returned"]["profile"]["name"] == "Ada Lovelace"
    assert "apiKey" not in back["returned"]
    assert "code=" in back["arrived"]
    assert back["at"] == f"{story.page}?room=5#here"
    assert ["balance", SIGNED_IN + PACK] in bought["heard"]
    assert bought["at"].endswith(PAGE)


def spent_as_one_who_has_signed_in(found: list[Found]) -> int:
    """What is left."""
    sdks, aborted, talked, restricted, elsewhere, end = found
    assert sdks["texts"] == [ANSWER] * 3
    assert aborted["chunks"] == 5
    assert SIGNED_IN + PACK > sdks["shown"] > aborted["balance"] > talked["balance"]
    assert talked["said"] == ANSWER.strip()
    assert talked["isSecret"]
    assert restricted["isRestricted"]
    assert restricted["own"] == restricted["tokens"]
    for kind in ("ofOthers", "ofAnother", "here"):
        assert elsewhere[kind]["message"].endswith(" is elsewhere")
    return int(end["balance"])


def heard_of_it_all(watched: Found, user_id: str, left: int) -> None:
    """The tab that has done nothing itself."""
    heard = watched["heard"]
    assert ["user", {"userId": user_id, "signedIn": True}] in heard
    assert ["balance", SIGNED_IN + PACK] in heard
    assert (watched["user"]["userId"], watched["balance"]) == (user_id, left)
    assert not [each for each in heard if each[0] == "refused"]


def was_the_same_elsewhere(found: list[Found], user_id: str, left: int) -> None:
    arrived, back, who = found
    assert (arrived["first"], arrived["balance"]) == (None, FREE)
    assert (back["user"]["userId"], back["balance"]) == (user_id, left)
    assert back["returned"]["previousUserId"] == arrived["userId"]
    assert (who["userId"], who["name"]) == (user_id, "Ada Lovelace")


def signed_in_again_after_a_revocation(found: list[Found], user_id: str, left: int) -> None:
    unpaid, revoked, back, managed = found
    assert unpaid["status"] == 402
    assert unpaid["heard"][0] == ["refused", "payment"]
    assert (revoked["users"], revoked["kinds"]) == ([None], ["sign-in"])
    assert revoked["user"] == revoked["before"] == {"userId": user_id, "signedIn": True}
    assert revoked["heard"][-1] == ["refused", "sign-in"]
    for each in (back, managed):
        assert (each["user"]["userId"], each["balance"]) == (user_id, left)


def went_on_as_somebody_new(found: list[Found], user_id: str) -> None:
    out, arrived, revoked = found
    assert (out["after"], out["endedStatus"], out["left"]) == (None, 401, 0)
    assert arrived["userId"] != user_id
    assert (arrived["user"]["signedIn"], arrived["balance"]) == (False, FREE)
    # An anonymous user has no other way back: one new user, whichever call asked first.
    assert (len(revoked["users"]), revoked["kinds"]) == (1, [None])
    assert revoked["users"] != [arrived["userId"]]
    assert not [each for each in revoked["heard"] if each[0] == "refused"]


def outlived_the_server(found: Found) -> None:
    made, unknown = found["charges"]["made"], found["charges"]["unknown"]
    assert made <= found["taken"] <= made + unknown
    assert made > 0
    assert (found["kind"], found["status"], found["isSame"]) == ("offline", 0, True)
