"""The ladder: who becomes whom. A stand-in, that makes a new user each time."""

from dataclasses import dataclass

from server.identity.users import Users
from server.login_providers.identity import VerifiedIdentity
from server.tenants.groups import Group
from server.who import Ref


@dataclass(frozen=True, slots=True)
class LoginResult:
    user_id: str
    api_key: str
    group: str
    tokens_left: int
    rate_limit: int
    rate_limit_window: int
    is_created: bool
    is_linked: bool
    previous_user_id: str | None


class Ladder:
    def __init__(self, users: Users) -> None:
        self._users = users

    async def login(
        self,
        tenant_id: str,
        identity: VerifiedIdentity,
        bearer: str,
        link: bool,
        new_key: bool,
        group_name: str,
        group: Group,
        ref: Ref,
    ) -> LoginResult:
        made = await self._users.login(tenant_id, group, ref)
        return LoginResult(
            made.user_id,
            made.api_key,
            group_name,
            group.tokens,
            group.rate_limit,
            group.rate_limit_window,
            True,
            True,
            None,
        )
