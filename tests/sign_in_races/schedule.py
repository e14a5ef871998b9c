"""Schedule: what some devices do at the same time, by chance, and whether it came out right."""

import asyncio
import random
import time
from collections import Counter
from typing import Any

from tests.api import ADMIN, User, config
from tests.callers import Answer, Load
from tests.login_providers.signing import GROUP
from tests.sign_in_races.known import Ending, Keys, Known
from tests.sign_in_races.people import Somebody, ask, works
from tests.sign_in_races.site import Site

DEVICES, ACTIONS = 4, 12
FREE, FREE_OF_IDENTITY = 100, 1_000
GRANTED = 7
POOR = {"paid": {"tokens": 0, "rate_limit": 10_000, "rate_limit_window": 60}}


class Schedule:
    """Of one tenant, with two people; `load` is the way to the server."""

    def __init__(self, site: Site, load: Load, seed: int) -> None:
        self.site, self.load = site, load
        self.seed, self.chance = seed, random.Random(seed)
        self.app = site.app()
        groups = config(**GROUP, **POOR) | {"auth": self.app.auth}
        assert self.app.api.put_config(groups).status_code == 200
        self.people = [Somebody(self.app), Somebody(self.app, "apple")]
        self.keys = Keys()
        self.anonymous = 0
        self.given = 0
        self.spent: Counter[str] = Counter()
        self.story: list[tuple[str, str]] = []
        """What was done and how it was answered, and then who asked what when."""

    async def run(self) -> None:
        chances = [random.Random(self.chance.random()) for _ in range(DEVICES)]
        await asyncio.gather(*(self._device(chance) for chance in chances))

    async def _device(self, chance: random.Random) -> None:
        actions = {
            **{self.log_in: 3, self.sign_in: 10, self.rotate: 2, self.log_out: 2},
            **{self.delete: 2, self.hear_from_apple: 1, self.give: 2, self.move: 1},
            **{self.charge: 6, self.hold: 3, self.restrict: 2},
        }
        await self.log_in(chance)
        for _ in range(ACTIONS):
            (action,) = chance.choices([*actions], [*actions.values()])
            await action(chance)

    def any_key(self, chance: random.Random) -> Known:
        return chance.choice(self.keys.known)

    async def ask(
        self, action: str, path: str, user: User | None, body: Any, *expected: int, **more: str
    ) -> Answer | None:
        method = "DELETE" if action == "delete" else "POST"
        whole, asked_at = f"/{self.app.api.tenant_id}{path}", time.monotonic()
        answer = await ask(self.load, method, whole, user, body, **more)
        status = answer.status if answer else None
        by, said = user.api_key if user else "", answer.body if answer else ""
        asked = {name: value for name, value in (body or {}).items() if name != "idToken"}
        line = f"{asked_at:.3f} to {time.monotonic():.3f}: {by} {path} {asked} -> {status} {said}"
        self.story.append((f"{action}: {status}", line))
        is_restricted = user is not None and user.api_key.startswith("rk_")
        if answer is not None and not (is_restricted and status == 403):
            assert status in expected, f"{action}: {status} {answer.body}"
        return answer

    async def log_in(self, chance: random.Random) -> None:
        asked_at, answer = time.monotonic(), None
        while answer is None:
            self.anonymous += 1
            answer = await self.ask("log in", "/auth/anonymous", None, None, 200)
        self.keys.learn(User(self.app.api, answer.body), asked_at)

    async def sign_in(self, chance: random.Random) -> None:
        somebody = chance.choice(self.people)
        bearer = self.any_key(chance).user if chance.random() < 0.7 else None
        body: dict[str, Any] = {"idToken": somebody.token}
        if bearer and chance.random() < 0.3:
            body["link"] = True
        alone = chance.random() < 0.15
        had = self.keys.had_identity.setdefault(somebody.subject, set())
        if bearer:
            had.add(bearer.user_id)
        ending = None
        if alone:
            body["newKey"] = True
            ending = self.keys.begin(Ending(identity=somebody.subject))
        asked_at = time.monotonic()
        statuses = (200, 401, 403, 409) if "link" in body else (200,)
        path = f"/auth/{somebody.provider}"
        answer = await self.ask("sign in", path, bearer, body, *statuses)
        self.keys.login_keys.update(had)
        if answer is not None and answer.status == 200:
            user = User(self.app.api, answer.body)
            had.add(user.user_id)
            self.keys.login_keys[user.user_id] += 1
            self.keys.learn(user, asked_at)
            if ending:
                ending.identity, ending.user_id, ending.but = "", user.user_id, user.api_key
        if ending:
            self.keys.over(ending, answer, 200, 401, 403)

    async def rotate(self, chance: random.Random) -> None:
        user, asked_at = self.any_key(chance).user, time.monotonic()
        answer = None
        while answer is None:
            answer = await self.ask("rotate", "/auth/rotate", user, None, 200, 401, 403)
            self.keys.login_keys[user.user_id] += 1
        if answer.status == 200:
            reply = {"apiKey": answer.body["apiKey"], "userId": user.user_id}
            self.keys.learn(User(self.app.api, reply), asked_at)

    async def log_out(self, chance: random.Random) -> None:
        user, everywhere = self.any_key(chance).user, chance.random() < 0.3
        of_user, of_key = Ending(user_id=user.user_id), Ending(key=user.api_key)
        ending = self.keys.begin(of_user if everywhere else of_key)
        body = {"everywhere": everywhere}
        answer = await self.ask("log out", "/auth/logout", user, body, 204, 401)
        self.keys.over(ending, answer, 204, 401, 403)

    async def delete(self, chance: random.Random) -> None:
        """Often when all is spent, so that nothing of it counts but that."""
        user = self.any_key(chance).user
        if chance.random() < 0.7:
            await self.charge(chance, user, everything=True)
        ending = self.keys.begin(Ending(user_id=user.user_id))
        answer = await self.ask("delete", "/auth/me", user, {}, 204, 401, 403)
        # Not 401: aiohttp asks again by itself where a connection is lost, if that does no harm.
        self.keys.over(ending, answer, 204, 403)

    async def hear_from_apple(self, chance: random.Random) -> None:
        somebody, app = self.people[1], self.app
        kind = chance.choice(["consent-revoked", "account-delete"])
        at = int(time.time() * 1000) + 1
        subject, operator = somebody.subject, app.at("apple")
        payload = operator.notification(app.web, kind, subject, event_time=at)
        ending = self.keys.begin(Ending(identity=subject))
        path = "/auth/apple/notifications"
        answer = await self.ask("notice", path, None, {"payload": payload}, 200)
        self.keys.over(ending, answer, 200)

    async def give(self, chance: random.Random) -> None:
        self.given += GRANTED
        await self._grant(chance, {"tokens": GRANTED})

    async def move(self, chance: random.Random) -> None:
        group = chance.choice(["anonymous", "paid"])
        self.given += FREE if group == "anonymous" else 0
        await self._grant(chance, {"group": group})

    async def _grant(self, chance: random.Random, body: Any) -> None:
        path = f"/admin/users/{self.any_key(chance).user.user_id}/grants"
        await self.ask("grant", path, None, body, 200, 404, **ADMIN)

    async def charge(
        self, chance: random.Random, user: User | None = None, everything: bool = False
    ) -> None:
        user, tokens = user or self.any_key(chance).user, chance.randint(1, 9)
        if everything:
            answer = await ask(self.load, "GET", f"/{self.app.api.tenant_id}/balance", user)
            if answer is None or answer.status != 200 or not answer.body["tokensLeft"]:
                return
            tokens = answer.body["tokensLeft"]
        answer = await self.ask("charge", "/charges", user, {"tokens": tokens}, 200, 401, 402)
        if answer is not None and answer.status == 200:
            self.spent[user.user_id] += tokens

    async def hold(self, chance: random.Random) -> None:
        user, body = self.any_key(chance).user, {"tokens": 9, "ttl": 60}
        answer = await self.ask("hold", "/holds", user, body, 201, 401, 402)
        if answer is None or answer.status != 201:
            return
        path, tokens = f"/holds/{answer.body['holdId']}/settle", chance.randint(0, 9)
        answer = await self.ask("settle", path, user, {"tokens": tokens}, 200, 401, 404)
        if answer is not None and answer.status == 200:
            self.spent[user.user_id] += tokens

    async def restrict(self, chance: random.Random) -> None:
        maker, asked_at = self.any_key(chance), time.monotonic()
        body = {"tokens": 20, "expiresIn": 600}
        answer = await self.ask("restrict", "/keys", maker.user, body, 201, 401, 429)
        if answer is not None and answer.status == 201:
            reply = {"apiKey": answer.body["apiKey"], "userId": maker.user.user_id}
            self.keys.learn(User(self.app.api, reply), asked_at, maker.user.api_key)

    async def check(self) -> None:
        """After one login of each."""
        last = [await somebody.sign_in(self.load) for somebody in self.people]
        for user in last:
            assert await works(self.load, user)
        again = [await somebody.sign_in(self.load) for somebody in self.people]
        assert [user.user_id for user in again] == [user.user_id for user in last]
        for known in self.keys.known:
            alive = await works(self.load, known.user)
            if alive and self.keys.must_be_refused(known):
                self._fail(f"{known.user.api_key} works", known.user)
            if not alive and self.keys.must_work(known):
                self._fail(f"{known.user.api_key} does not work", known.user)
        self._check_tokens()

    def _check_tokens(self) -> None:
        users = self.site.users(self.app.api.tenant_id)
        held = sum(hold[0] for user in users.values() for hold in user["holds"].values())
        had = sum(user["tokensLeft"] + user["tokensUsed"] for user in users.values()) + held
        had += sum(tokens for user_id, tokens in self.spent.items() if user_id not in users)
        most = FREE * self.anonymous + FREE_OF_IDENTITY * len(self.people) + self.given
        assert had <= most, f"{had} tokens, of {most}, SEED={self.seed}"

    def _fail(self, fault: str, user: User) -> None:
        """With all that was asked of the user, or answered about it."""
        keys = {one.user.api_key for one in self.keys.known if one.user.user_id == user.user_id}
        about = {user.user_id, *keys}
        lines = sorted(line for _, line in self.story if any(one in line for one in about))
        raise AssertionError("\n".join([f"SEED={self.seed}: {fault}", *lines]))
