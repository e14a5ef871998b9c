"""What may happen at the same time, to be tried with the model of the ladder."""

from tests.identity.ladder_model import Steps, World, delete, expire, login, unlink
from tests.identity.orders import run


def first_logins(world: World) -> list[Steps]:
    return [login(world, "one", "google"), login(world, "two", "google")]


def two_devices(world: World) -> list[Steps]:
    a, b = world.anonymous("A"), world.anonymous("B")
    return [login(world, "one", "google", a), login(world, "two", "google", b)]


def two_accounts(world: World) -> list[Steps]:
    a = world.anonymous("A")
    return [login(world, "one", "google", a), login(world, "two", "apple", a)]


def twice(world: World) -> list[Steps]:
    a = world.anonymous("A")
    return [login(world, "one", "google", a), login(world, "two", "google", a)]


def last_second(world: World) -> list[Steps]:
    a = world.anonymous("A")
    return [login(world, "one", "google", a), expire(world, "A")]


def _account(world: World) -> str:
    """A user with an identity, as it is after a login; the key of that."""
    key = world.anonymous("A")
    run(login(world, "zero", "google", key))
    return key


def deletion(world: World) -> list[Steps]:
    return [delete(world, _account(world)), login(world, "one", "google")]


def deletion_of_the_bearer(world: World) -> list[Steps]:
    key = _account(world)
    return [delete(world, key), login(world, "one", "google", key)]


def deletion_of_an_anonymous_bearer(world: World) -> list[Steps]:
    key = world.anonymous("A")
    return [delete(world, key), login(world, "one", "google", key)]


def too_many_keys(world: World) -> list[Steps]:
    world.most_keys = 1
    _account(world)
    return [login(world, "one", "google"), login(world, "two", "google")]


def alone(world: World) -> list[Steps]:
    key = _account(world)
    return [login(world, "one", "google", key, alone=True), login(world, "two", "google", key)]


def _two_identities(world: World) -> str:
    """Of one user; its key."""
    key = _account(world)
    world.identities["apple"] = "A", False, 1
    world.users["A"].identities["apple"] = 1
    return key


def notice(world: World) -> list[Steps]:
    _two_identities(world)
    return [unlink(world, "A", "apple"), login(world, "one", "apple"), login(world, "two", "apple")]


def notice_and_link(world: World) -> list[Steps]:
    """Which comes twice, of a user that wants back what is taken from it."""
    key = _two_identities(world)
    notices = [unlink(world, "A", "apple") for _ in range(2)]
    return [*notices, login(world, "one", "apple", key, link=True)]


def three_devices(world: World) -> list[Steps]:
    a, b = world.anonymous("A"), world.anonymous("B")
    return [
        login(world, "one", "google", a),
        login(world, "two", "google", b),
        login(world, "three", "google"),
    ]


def crowd(world: World) -> list[Steps]:
    """Two accounts, a deletion and an expiry, of one anonymous user and of another."""
    a, b = world.anonymous("A"), world.anonymous("B")
    return [
        login(world, "one", "google", a),
        login(world, "two", "apple", a),
        login(world, "three", "google", b),
        delete(world, a),
        expire(world, "B"),
    ]


SCENARIOS = [
    notice_and_link,
    first_logins,
    two_devices,
    two_accounts,
    twice,
    last_second,
    deletion,
    deletion_of_the_bearer,
    deletion_of_an_anonymous_bearer,
    too_many_keys,
    alone,
    notice,
]
