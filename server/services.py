"""What the blueprints work with: one object per worker, made in server/app.py."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.billing.billing import Billing
from server.gateway.room import Room
from server.identity.apple_notices import AppleNotices
from server.identity.challenges import Challenges
from server.identity.client_secrets import ClientSecrets
from server.identity.deletion import Deletion
from server.identity.faults import FaultRates
from server.identity.ladder import Ladder
from server.identity.logins import LoginLimits
from server.identity.redirects import Redirects
from server.identity.reserve import Reserve
from server.identity.restricted import RestrictedKeys
from server.identity.sessions import Sessions
from server.identity.users import Users
from server.identity.wrong_tokens import WrongTokens
from server.login_providers.login_providers import LoginProviders
from server.metering.accounts import Accounts
from server.metering.holding import Holding
from server.metering.kept_responses import KeptResponses
from server.metering.leases import Leases
from server.metering.meter import Meter
from server.places import Places
from server.settings import Settings
from server.tenants.tenants import Tenants
from server.timed.calls import Calls
from server.timeouts import Timeouts
from server.upstream.client import Upstream
from server.voice.sessions import VoiceSessions


@dataclass(slots=True)
class Services:
    settings: Settings
    meter: Meter
    accounts: Accounts
    leases: Leases
    kept_responses: KeptResponses
    holding: Holding
    request_room: Room
    reply_room: Room
    places: Places
    calls: Calls
    upstream: Upstream
    voice: VoiceSessions
    reserve: Reserve
    login_limits: LoginLimits
    challenges: Challenges
    users: Users
    ladder: Ladder
    login_providers: LoginProviders
    sessions: Sessions
    deletion: Deletion
    apple_notices: AppleNotices
    redirects: Redirects
    restricted_keys: RestrictedKeys
    client_secrets: ClientSecrets
    wrong_tokens: WrongTokens
    faults: FaultRates
    tenants: Tenants
    billing: Billing
    ping_redis: Callable[[], Awaitable[None]]
    """Raises Unavailable."""
    is_alive: Callable[[], bool]
    """This worker can do its work: what sends to Redis has not ended, nor is it stuck."""
    timeouts: Timeouts
    draining: bool = False
    """A shutdown has begun: not ready, but still serving; each connection ends with its reply."""
    stop_by: float = 0.0
    """When the grace period of a shutdown ends, on the loop's clock."""

    def drain(self, seconds: float) -> None:
        """A shutdown begins, and with it, after so many seconds, the grace period."""
        self.draining = True
        self.stop_by = asyncio.get_running_loop().time() + seconds + self.settings.grace_seconds
        # Before that, by as much as they may sleep: what is cut off then gets no answer.
        self.holding.waiting.stop(self.stop_by - self.timeouts.ask_again)
