"""The ladder as a model: logins, deletions and expiries as atomic steps on a dict for Redis.

What is a script or a command in server/identity/ is a method of World here, and what calls them a
generator, which yields before each of them: there another may come between, or it may die.
"""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field

Steps = Generator[None, None, None]

CHANGES = (
    "bury leaves nothing",
    "release forgets the identity",
    "identify does not wait for the keys",
    "who meets a deletion does not release its identity",
    "an ended key is not remembered",
    "a key's record is written again",
    "who gives back an identity does not claim it again",
    "an identity is taken away once",
)
"""Each makes the ladder wrong, and is one that somebody might make."""
DONE = "", "LINKED"
"""What `identify` answers then."""


@dataclass
class User:
    keys: list[str]
    """The one that a login had to do with last is the last."""
    temporary: bool = True
    closing: bool = False
    closed: bool = False
    identities: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)


class World:
    """`change`: one of CHANGES, '' for the ladder as it is; `most_keys`: of logins a user."""

    def __init__(self, change: str = "", most_keys: int = 20) -> None:
        self.change, self.most_keys = change, most_keys
        self.identities: dict[str, tuple[str, bool]] = {}
        self.users: dict[str, User] = {}
        self.records: dict[str, tuple[str, bool]] = {}
        """API key -> its user, and whether it expires."""
        self.grants: Counter[str] = Counter()
        """Of a login group's tokens, by identity."""
        self.known: dict[str, str] = {}
        """API keys that somebody was told, and of whom; those that were to end are no more."""
        self.outlived: set[str] = set()
        """API keys whose user has expired. If a login that died had made them permanent, they stay,
        and open nothing."""

    def anonymous(self, name: str) -> str:
        """A user, who has just logged in; its key."""
        key = f"temp {name}"
        self.users[name], self.records[key], self.known[key] = User([key]), (name, True), name
        return key

    def user_of(self, key: str) -> str | None:
        """Who lists the key, as the script `account` finds."""
        name = self.records[key][0] if key in self.records else ""
        user = self.users.get(name)
        return name if user and key in user.keys else None

    def claim(self, identity: str, candidate: str) -> tuple[str, bool]:
        owner, again = self.identities.get(identity, ("", False))
        if owner:
            return owner, again
        self.identities[identity] = candidate, identity in self.identities
        return self.identities[identity]

    def release(self, identity: str, name: str) -> None:
        if self.identities.get(identity, ("", False))[0] == name:
            self.identities[identity] = "", True
            if self.change == "release forgets the identity":
                del self.identities[identity]

    def take_away(self, name: str, identity: str) -> None:
        if name in self.users:
            self.users[name].identities.discard(identity)

    def identify(
        self, name: str, identity: str, again: bool, key: str, confirmed: list[str], alone: bool
    ) -> str | list[str]:
        """'' if it is done, LINKED if the identity is new to the user, another status, or keys to
        confirm first."""
        user = self.users.get(name)
        if user and (user.closing or user.closed):
            return "CLOSING"
        if key.startswith("temp") and not (user and key in user.keys):
            return "UNKNOWN_KEY"
        expiring = [one for one in user.keys if one not in confirmed] if user else []
        waits = self.change != "identify does not wait for the keys"
        if user and user.temporary and expiring and waits:
            return expiring
        if user is None:
            user = self.users[name] = User([])
        if not user.identities and not again:
            self.grants[identity] += 1
        is_linked = identity not in user.identities
        user.identities.add(identity)
        user.temporary = False
        self._list(user, key, alone)
        return "LINKED" if is_linked else ""

    def _list(self, user: User, key: str, alone: bool) -> None:
        others = [one for one in user.keys if one != key]
        of_logins = [one for one in others if one.startswith("key")]
        most = self.most_keys - key.startswith("key")
        lost = others if alone else of_logins[: max(len(of_logins) - most, 0)]
        user.keys = [one for one in others if one not in lost] + [key]
        self.end(user, lost)

    def end(self, user: User, keys: list[str]) -> None:
        for key in keys:
            self.known.pop(key, None)
        if self.change != "an ended key is not remembered":
            user.ended.update(keys)

    def keep(self, key: str, name: str) -> bool:
        """Only if it has a record still."""
        if key not in self.records and self.change != "a key's record is written again":
            return False
        self.records[key] = name, False
        return True

    def drop_expiring(self, *keys: str) -> None:
        """Records of these keys, or of all, whose time is over; not those of a user who lives, and
        is temporary."""
        for key in keys or [*self.records]:
            owner, expires = self.records.get(key, ("", False))
            user = self.users.get(owner)
            if expires and not (user and user.temporary):
                del self.records[key]

    def close(self, name: str) -> User | None:
        user = self.users.get(name)
        if user is None or user.closed:
            return None
        user.closing = True
        self.end(user, user.keys)
        user.keys = []
        return user

    def bury(self, name: str) -> None:
        if name in self.users and self.users[name].closing:
            self.users[name] = User([], closed=True, temporary=False)
            if self.change == "bury leaves nothing":
                del self.users[name]


def login(world: World, name: str, identity: str, bearer: str = "", alone: bool = False) -> Steps:
    """As Ladder.login."""
    mine, is_anonymous = None, False
    if bearer:
        yield
        mine = world.user_of(bearer)
        is_anonymous = mine is not None and not world.users[mine].identities
    for number in range(5):
        yield
        candidate = mine if mine and is_anonymous else f"{name} {number}"
        was_taken = world.identities.get(identity, ("", False))[0] != ""
        owner, again = world.claim(identity, candidate)
        is_own = owner == mine and not alone
        key, outcome = bearer, "UNKNOWN_KEY"
        if is_own:
            outcome = yield from _identify(world, owner, identity, again, bearer, alone)
        if outcome == "UNKNOWN_KEY":
            key = f"key {name} {number}"
            yield
            world.records[key] = owner, True
            outcome = yield from _identify(world, owner, identity, again, key, alone)
        if outcome in DONE:
            is_late = was_taken and outcome == "LINKED"
            if is_late and not (yield from _is_still(world, owner, identity)):
                continue
            if world.user_of(key):  # else by the cap, or by who wanted to be alone
                world.known[key] = owner
            return
        yield from _finish(world, owner)
        if world.change != "who meets a deletion does not release its identity":
            yield
            world.release(identity, owner)
        mine = None if mine == owner else mine


def _is_still(world: World, owner: str, identity: str) -> Generator[None, None, bool]:
    if world.change == "who gives back an identity does not claim it again":
        return True
    yield
    if world.claim(identity, owner)[0] == owner:
        return True
    yield
    world.take_away(owner, identity)
    return False


def _identify(
    world: World, owner: str, identity: str, again: bool, key: str, alone: bool
) -> Generator[None, None, str]:
    confirmed: list[str] = []
    while True:
        yield
        outcome = world.identify(owner, identity, again, key, confirmed, alone)
        if isinstance(outcome, str):
            break
        confirmed += yield from _keep(world, owner, outcome)
    if outcome in DONE:
        user = world.users[owner]
        keys, ended = list(user.keys), sorted(user.ended)
        yield from _keep(world, owner, keys)
        yield from _remove(world, owner, ended)
    return outcome


def _keep(world: World, owner: str, keys: list[str]) -> Generator[None, None, list[str]]:
    """Those that are kept; those that have no record are taken from the user."""
    kept = []
    for key in keys:
        yield
        if world.keep(key, owner):
            kept.append(key)
            continue
        yield
        if owner in world.users and key in world.users[owner].keys:
            world.users[owner].keys.remove(key)
    return kept


def _remove(world: World, owner: str, keys: list[str]) -> Steps:
    for key in keys:
        yield
        world.records.pop(key, None)
        yield
        if owner in world.users:
            world.users[owner].ended.discard(key)


def delete(world: World, key: str) -> Steps:
    """As Deletion.delete."""
    yield
    name = world.user_of(key)
    if name is not None:
        yield from _finish(world, name)


def _finish(world: World, name: str) -> Steps:
    yield
    user = world.close(name)
    if user is None:
        return
    ended, identities = sorted(user.ended), sorted(user.identities)
    for identity in identities:
        yield
        world.release(identity, name)
    yield from _remove(world, name, ended)
    yield
    world.bury(name)


def unlink(world: World, name: str, identity: str) -> Steps:
    """As AppleNotices, of a user that has another identity."""
    yield
    world.take_away(name, identity)
    yield
    world.release(identity, name)
    if world.change != "an identity is taken away once":
        yield
        world.take_away(name, identity)


def expire(world: World, name: str) -> Steps:
    """Of an anonymous user, and then of its key, which may outlive it."""
    yield
    if name in world.users and world.users[name].temporary:
        for key in world.users.pop(name).keys:
            world.known.pop(key, None)
            world.outlived.add(key)
    yield
    world.drop_expiring(f"temp {name}")
