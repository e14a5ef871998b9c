"""Telling Apple that an account has gone."""

import logging

from server.blueprints.request import Request
from server.identity.deletion import Revoke
from server.login_providers.errors import LoginProviderFailed

log = logging.getLogger(__name__)


def revocation(request: Request, code: str | None = None) -> Revoke:
    """For the tenant's app. `code`: an authorization code of a native sign-in, of a user whose
    refresh token we have not got."""

    async def revoke(client_id: str, refresh_token: str) -> None:
        tenant, providers = request.tenant, request.services.login_providers
        client = tenant.config.auth.apple_oauth
        if client is None or not (refresh_token or code):
            return
        client_id = client_id or client.client_id or ""
        try:
            async with providers.in_time():
                if not refresh_token and code:
                    refresh_token = await providers.apple.refresh_token(
                        client, tenant.tenant_id, client_id, code
                    )
                if refresh_token:
                    await providers.apple.revoke(client, tenant.tenant_id, client_id, refresh_token)
        except LoginProviderFailed as error:
            # The account goes all the same: its person has asked for that.
            log.warning("Tenant %s: Apple revokes no token: %s", tenant.tenant_id, error.reason)

    return revoke
