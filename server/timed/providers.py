"""Which of a tenant's endpoints bill by time, and how they are asked."""

from collections.abc import Mapping

from server.tenants.endpoints import RealtimeEndpoints
from server.tenants.tenants import Tenant
from server.timed.provider import Account, Provider


def account_of(
    tenant: Tenant, endpoint: str, providers: Mapping[str, Provider]
) -> tuple[Provider, Account] | None:
    """None if the tenant has no such endpoint, or no more."""
    realtime = tenant.config.providers.realtime or RealtimeEndpoints()
    protocol = realtime.protocols.get(endpoint)
    if protocol is None or protocol not in providers:
        return None
    found = realtime.endpoints[endpoint]
    account = Account(tenant.tenant_id, found.http_url(endpoint), found.api_key or "")
    return providers[protocol], account
