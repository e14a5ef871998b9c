"""What a login with a verified identity asks for, and what it gets."""

from dataclasses import dataclass, field

from server.identity.deletion import Revoke
from server.login_providers.identity import VerifiedIdentity
from server.store import keys
from server.tenants.groups import Group
from server.who import Ref


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A login with a verified identity, which leads to `group`."""

    tenant_id: str
    identity: VerifiedIdentity
    group_name: str
    group: Group
    ref: Ref
    bearer: str = field(default="", repr=False)
    """The API key that it came with, '' for none."""
    link: bool = False
    """The identity is for the bearer's user and for no other."""
    new_key: bool = False
    """All other keys of the user end."""
    keep_profile: bool = True
    revoke: Revoke | None = None
    """For a user whose deletion was interrupted; as Deletion has it."""

    @property
    def identity_name(self) -> str:
        """As keys and accounts have it."""
        return keys.hashed_identity(self.identity.provider, self.identity.subject)

    def known(self) -> dict[str, str | None]:
        """What the account is to have of the person. Apple gives a name only once, so that one that
        is not given is the one that was."""
        identity = self.identity
        person = {"email": identity.email, "name": identity.name}
        if not self.keep_profile:
            known: dict[str, str | None] = dict.fromkeys(person)
        else:
            known = {name: text for name, text in person.items() if text}
        if identity.refresh_token:
            known |= {"appleClientId": identity.client_id, "appleToken": identity.refresh_token}
        return known


@dataclass(frozen=True, slots=True)
class LoginResult:
    """`is_created`: a user was made; `is_linked`: the bearer's user has got this identity now;
    `previous_user_id`: the bearer's, which has no identity and goes on existing beside this one."""

    api_key: str
    user_id: str
    group: str
    tokens_left: int
    rate_limit: int
    rate_limit_window: int
    is_created: bool
    is_linked: bool
    previous_user_id: str | None
