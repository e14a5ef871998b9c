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
    "an unlinked identity is not remembered",
    "who meets the end of a claim does not release its identity",
    "a later claim is released",
)
"""Each makes the ladder wrong, and is one that somebody might make."""


@dataclass
class User:
    keys: list[str]
    """The one that a login had to do with last is the last."""
    temporary: bool = True
    closing: bool = False
    closed: bool = False
    identities: dict[str, int] = field(default_factory=dict)
    """Each with the claim by which it has signed in last."""
    ended: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)
    """Keys whose records are still to be made permanent."""
    unlinked: dict[str, int] = field(default_factory=dict)
    """By which claim an identity was the user's that was taken from it."""


class World:
    """`change`: one of CHANGES, '' for the ladder as it is; `most_keys`: of logins a user."""

    def __init__(self, change: str = "", most_keys: int = 20) -> None:
        self.change, self.most_keys = change, most_keys
        self.identities: dict[str, tuple[str, bool, int]] = {}
        """Whose it is, whether it has had its tokens, and by which claim."""
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

    def claim(self, identity: str, candidate: str) -> tuple[str, bool, int]:
        owner, _, at = self.identities.get(identity, ("", False, 0))
        if not owner:
            self.identities[identity] = candidate, identity in self.identities, at + 1
        return self.identities[identity]

    def release(self, identity: str, name: str, claimed_at: int = 0) -> None:
        owner, _, at = self.identities.get(identity, ("", False, 0))
        is_it = claimed_at in (0, at) or self.change == "a later claim is released"
        if owner == name and is_it:
            self.identities[identity] = "", True, at
            if self.change == "release forgets the identity":
                del self.identities[identity]

    def unlink(self, name: str, identity: str, claimed_at: int) -> bool:
        user = self.users.get(name)
        if user is None or user.identities.get(identity, claimed_at + 1) > claimed_at:
            return False
        del user.identities[identity]
        if self.change != "an unlinked identity is not remembered":
            user.unlinked[identity] = claimed_at
        return True

    def identify(
        self,
        name: str,
        identity: str,
        claim: tuple[bool, int],
        key: str,
        confirmed: list[str],
        alone: bool,
    ) -> str | list[str]:
        """A status, '' if it is done, or keys to confirm first."""
        user = self.users.get(name)
        again, claimed_at = claim
        if user and (user.closing or user.closed):
            return "CLOSING"
        if user and user.unlinked.get(identity, 0) >= claimed_at:
            return "MISMATCH"
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
        user.identities[identity] = claimed_at
        user.unlinked.pop(identity, None)
        user.temporary = False
        self._list(user, key, alone)
        return ""

    def _list(self, user: User, key: str, alone: bool) -> None:
        others = [one for one in user.keys if one != key]
        of_logins = [one for one in others if one.startswith("key")]
        most = self.most_keys - key.startswith("key")
        lost = others if alone else of_logins[: max(len(of_logins) - most, 0)]
        user.keys = [one for one in others if one not in lost] + [key]
        if key.startswith("key"):
            user.new.add(key)
        self.end(user, lost)
        user.new.intersection_update(user.keys)

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


def login(
    world: World,
    name: str,
    identity: str,
    bearer: str = "",
    alone: bool = False,
    link: bool = False,
) -> Steps:
    """As Ladder.login."""
    mine, is_anonymous = None, False
    if bearer:
        yield
        mine = world.user_of(bearer)
        is_anonymous = mine is not None and not world.users[mine].identities
    for number in range(5):
        yield
        candidate = mine if mine and (is_anonymous or link) else f"{name} {number}"
        owner, again, claimed_at = world.claim(identity, candidate)
        claim = again, claimed_at
        if link and owner != mine:
            return  # refused
        is_own = owner == mine and not alone
        key, outcome = bearer, "UNKNOWN_KEY"
        if is_own:
            outcome = yield from _identify(world, owner, identity, claim, bearer, alone)
        if outcome == "UNKNOWN_KEY":
            key = f"key {name} {number}"
            yield
            world.records[key] = owner, True
            outcome = yield from _identify(world, owner, identity, claim, key, alone)
        if outcome == "":
            if world.user_of(key):  # else by the cap, or by who wanted to be alone
                world.known[key] = owner
            return
        if outcome == "MISMATCH":
            if world.change != "who meets the end of a claim does not release its identity":
                yield
                world.release(identity, owner, claimed_at)
            continue
        yield from _finish(world, owner)
        if world.change != "who meets a deletion does not release its identity":
            yield
            world.release(identity, owner)
        mine = None if mine == owner else mine


def _identify(
    world: World, owner: str, identity: str, claim: tuple[bool, int], key: str, alone: bool
) -> Generator[None, None, str]:
    confirmed: list[str] = []
    while True:
        yield
        outcome = world.identify(owner, identity, claim, key, confirmed, alone)
        if isinstance(outcome, str):
            break
        confirmed += yield from _keep(world, owner, outcome)
    if outcome == "":
        user = world.users[owner]
        keys, ended = list(user.keys), sorted(user.ended)
        kept = yield from _keep(world, owner, keys)
        yield
        if owner in world.users:
            world.users[owner].new.difference_update(kept)
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
    owner, _, at = world.identities.get(identity, ("", False, 0))
    yield
    if owner == name and world.unlink(name, identity, at):
        yield
        world.release(identity, name, at)


def expire(world: World, name: str) -> Steps:
    """Of an anonymous user, and then of its key, which may outlive it."""
    yield
    if name in world.users and world.users[name].temporary:
        for key in world.users.pop(name).keys:
            world.known.pop(key, None)
            world.outlived.add(key)
    yield
    world.drop_expiring(f"temp {name}")
