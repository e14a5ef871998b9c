"""What is wrong in the ladder's model, at any moment and in the end."""

from tests.identity.ladder_model import World


def faults(world: World) -> list[str]:
    """Whatever the moment."""
    found = [f"{one} is granted {times} times" for one, times in world.grants.items() if times > 1]
    for key, name in world.known.items():
        if world.user_of(key) != name:
            found.append(f"{key} does not work")
        elif world.records[key][1] and not world.users[name].temporary:
            found.append(f"{key} expires, and {name} does not")
    return found


def faults_at_rest(world: World) -> list[str]:
    """When the last logins are through."""
    found, users = faults(world), world.users.items()
    alive = {name: user for name, user in users if not user.closed and not user.closing}
    for identity, (owner, *_) in world.identities.items():
        linked = [name for name, user in alive.items() if identity in user.identities]
        if linked != [owner]:
            found.append(f"{identity} is of {owner}, and is in {linked}")
    for name, user in alive.items():
        of_user = {key for key, record in world.records.items() if record == (name, False)}
        if not user.temporary and of_user - world.outlived != set(user.keys):
            found.append(f"{name} lists {user.keys}, and has {sorted(of_user)}")
    return found
