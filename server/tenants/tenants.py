"""Tenants: how their configs are loaded and saved, and their IDs."""

import asyncio
import hashlib
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from server.errors import (
    Detail,
    Invalid,
    InvalidTenant,
    PreconditionFailed,
    TenantExists,
    Unavailable,
    Unreadable,
)
from server.recent import Recent
from server.store import keys
from server.store.status import Status
from server.store.store import Store
from server.structure import VALUE_BYTES, structure_of
from server.tenants.config import TenantConfig, parse_config
from server.tenants.prompts import count_variables
from server.upstream.addresses import faults_of_urls
from server.upstream.names import Names

log = logging.getLogger(__name__)

TENANT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
ETAG = re.compile(r'"[0-9a-f]{40}"')
RESERVED_IDS = ("tenants", "docs", "livez", "readyz", "metrics")
CONFIG_BYTES = 64 * 1024
STORED_BYTES = 4 * CONFIG_BYTES
"""What others have written into Redis may have blanks; larger ones are not read."""
# In memory, where a config can be a hundred times as large as its text.
PARSED_BYTES = 32 * 1024 * 1024
SEEN_TENANTS = 20_000
# As measured: an endpoint and a prompt's variable of no members, and a config of nothing but what
# it must have.
_ENDPOINT_BYTES = 950
_VARIABLE_BYTES = 400
_LEAST_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as just read from Redis; `parsed` is None if what is stored is not valid."""

    tenant_id: str
    raw: bytes
    parsed: TenantConfig | None

    @property
    def config(self) -> TenantConfig:
        assert self.parsed is not None, "loaded only to be repaired"
        return self.parsed

    def weight(self) -> int:
        """What it takes in memory, in bytes, roughly."""
        found = structure_of(self.raw, sys.maxsize, sys.maxsize)
        values = found.values if found is not None else 0
        weight = _LEAST_BYTES + len(self.raw) + values * VALUE_BYTES
        if self.parsed is not None:
            weight += self.parsed.providers.count_endpoints() * _ENDPOINT_BYTES
            weight += count_variables(self.parsed.prompts) * _VARIABLE_BYTES
        return weight

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha1(self.raw, usedforsecurity=False).hexdigest()}"'


class Tenants:
    """The tenants in `store`; `allow_private_upstreams` as in the settings."""

    def __init__(self, store: Store, names: Names, allow_private_upstreams: bool = False) -> None:
        self._store = store
        self._names = names
        self._allow_private = allow_private_upstreams
        # Only to spare the parsing: every request reads the config from Redis.
        self._last = Recent(PARSED_BYTES, Tenant.weight)
        # Hashes of the last configs, so that the log tells of new ones alone.
        self._seen: Recent[int] = Recent(SEEN_TENANTS)

    async def load(self, tenant_id: str, to_repair: bool = False) -> Tenant:
        """The tenant as it is now.

        Raises InvalidTenant if there is none, and Unavailable if its stored config is not valid,
        unless it is loaded `to_repair` that.
        """
        last = self._last.get(tenant_id)
        if last is None and not is_tenant_id(tenant_id):
            raise InvalidTenant
        try:
            raw = await self._store.get(keys.config(tenant_id))
        except Unreadable:
            raw = b""  # of another type: no JSON either
        if raw is None:
            self._last.forget(tenant_id)
            raise InvalidTenant
        tenant = last if last is not None and last.raw == raw else self._new(tenant_id, raw)
        if tenant.parsed is None and not to_repair:
            raise Unavailable(f"config of tenant {tenant_id} is not valid")
        return tenant

    def _new(self, tenant_id: str, raw: bytes) -> Tenant:
        is_new = self._seen.get(tenant_id) != hash(raw)
        tenant = Tenant(tenant_id, raw, _parse_stored(tenant_id, raw, is_new))
        self._last.put(tenant_id, tenant)
        self._seen.put(tenant_id, hash(raw))
        if is_new:
            log.info("Loaded tenant config for %s", tenant_id)
        return tenant

    async def create(self, tenant_id: Any, config: Any) -> None:
        """Raises Invalid with every fault, TenantExists (also when it was deleted)."""
        if not isinstance(tenant_id, str) or not is_tenant_id(tenant_id):
            message = f"must match {TENANT_ID.pattern} and not be reserved"
            faults = [Detail(path="tenantId", message=message)]
            try:
                await self._checked_text("", config)
            except Invalid as error:
                faults += error.details
            raise Invalid("Invalid tenant", faults)
        status = await self._write("create", tenant_id, await self._checked_text(tenant_id, config))
        if status is Status.EXISTS:
            raise TenantExists

    async def replace(self, tenant_id: str, config: Any, if_match: str | None) -> None:
        """Stores a new config; `if_match` is the header's value.

        Raises Invalid, InvalidTenant, PreconditionFailed.
        """
        text = await self._checked_text(tenant_id, config)
        status = await self._write("replace", tenant_id, text, _sha1_sums(if_match))
        if status is Status.ABSENT:
            raise InvalidTenant
        if status is Status.MISMATCH:
            raise PreconditionFailed

    async def delete(self, tenant_id: str) -> None:
        """Its ID is not given out again. Raises InvalidTenant."""
        if not is_tenant_id(tenant_id) or await self._write("delete", tenant_id) is Status.ABSENT:
            raise InvalidTenant

    async def list_ids(self) -> list[str]:
        found: set[str] = set()
        async for portion in self._store.scan(keys.ALL_CONFIGS):
            found.update(keys.tenant_of_config(key) for key in portion)
        return sorted(tenant_id for tenant_id in found if is_tenant_id(tenant_id))

    async def store_first(self) -> None:
        """Stores the specified config of tenant `abc`, unless there is or was one."""
        text = (Path(__file__).parent / "first_tenant.json").read_bytes()
        await self._write("create", "abc", orjson.dumps(orjson.loads(text)).decode())

    async def _checked_text(self, tenant_id: str, config: Any) -> str:
        """The JSON of a config. Raises Invalid with every fault."""
        # In a thread, but not among the requests of users: its patterns can take seconds.
        providers = (await asyncio.to_thread(parse_config, config, True)).providers
        text = _json(config)
        urls = providers.urls()
        if faults := await faults_of_urls(urls, tenant_id, self._names, self._allow_private):
            details = [Detail(path=path, message=fault) for path, fault in faults.items()]
            raise Invalid("Invalid config", details)
        return text

    async def _write(self, action: str, tenant_id: str, text: str = "", sums: str = "") -> Status:
        status, _ = await self._store.run(
            "config",
            [keys.config(tenant_id), keys.config_deleted(tenant_id)],
            action,
            text,
            sums,
        )
        return status


def is_tenant_id(text: str) -> bool:
    return TENANT_ID.fullmatch(text) is not None and text not in RESERVED_IDS


def _parse_stored(tenant_id: str, raw: bytes, is_new: bool) -> TenantConfig | None:
    """None if it is not valid, which the log tells once, as of what of it counts as absent."""
    absent: list[str] = []
    try:
        if len(raw) <= STORED_BYTES:
            parsed = parse_config(orjson.loads(raw), absent=absent)
            if absent and is_new:
                names = ", ".join(absent)
                log.warning(
                    "In config of tenant %s is not valid, and ignored: %s", tenant_id, names
                )
            return parsed
        fault = f"of at most {STORED_BYTES} bytes"
    except Invalid as error:
        # The paths alone: a value could be a provider's key.
        fault = "valid: " + ", ".join(detail["path"] for detail in error.extra["details"])
    except orjson.JSONDecodeError:
        fault = "JSON"
    if is_new:
        log.error("Config of tenant %s is not %s", tenant_id, fault)
    return None


def _json(config: Any) -> str:
    try:
        text = orjson.dumps(config)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        raise Invalid("Invalid config", [{"path": "", "message": "is nested too deeply"}]) from None
    if len(text) > CONFIG_BYTES:
        message = f"may be at most {CONFIG_BYTES} bytes of JSON"
        raise Invalid("Invalid config", [{"path": "", "message": message}])
    return text.decode()


def _sha1_sums(if_match: str | None) -> str:
    """The sums in an If-Match header, as lua/config.lua takes them; '' for none or `*`."""
    if if_match is None or if_match.strip() == "*":
        return ""
    # A weak tag (W/"...") never matches (RFC 9110, 13.1.1); neither does anything malformed.
    tags = [tag.strip() for tag in if_match.split(",")]
    sums = [tag[1:-1] for tag in tags if ETAG.fullmatch(tag)]
    return " ".join(sums) or "none"
