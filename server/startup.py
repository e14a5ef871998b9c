"""What comes before the first request, for `python -m server` and for Sanic's own command."""

import logging
import os
import re

from server import logs
from server.errors import Unavailable
from server.settings import LEAST_ADMIN_TOKEN, Settings, SettingsError
from server.store.store import Store

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The message is the one line that the operator sees."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


def read_settings() -> Settings:
    """The settings of the environment; sets up the log. Raises CannotStart."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        logs.configure("info", "json" if os.environ.get("LOG_FORMAT") == "json" else "text")
        raise CannotStart(str(error), 2) from None
    logs.configure(settings.log_level, settings.log_format)
    return settings


def warn_of_admin_token(settings: Settings) -> None:
    """Says what may have been overlooked: that there is none, or one that can be guessed."""
    if not settings.admin_token:
        log.warning("ADMIN_TOKEN is not set: the administration answers 401")
    elif len(settings.admin_token) < LEAST_ADMIN_TOKEN:
        log.warning(
            "ADMIN_TOKEN has fewer than %d characters: with another HOST than this machine itself "
            "there is no start",
            LEAST_ADMIN_TOKEN,
        )


def make_store(settings: Settings) -> Store:
    """Connects nowhere. Raises CannotStart."""
    try:
        return Store(settings.redis_url, settings.redis_timeout)
    except ValueError as error:
        # "... as 'x'": part of a password, when that has a character that a URL must escape.
        reason = re.sub(r" as '.*", "", str(error))
        raise CannotStart(f"REDIS_URL: {reason}", 2) from None


async def check_redis(store: Store) -> None:
    """Raises CannotStart if Redis does not answer, would evict balances, or denies what we need."""
    try:
        await store.check()
    except Unavailable as error:
        raise CannotStart(f"Redis connection failed: {error.reason}") from None
    except ValueError as error:
        raise CannotStart(str(error)) from None


def warn_of_redis(store: Store) -> None:
    """After `check_redis`: of what will do harm one day."""
    if not store.has_maxmemory:
        log.warning("Redis has no maxmemory: logins are not refused before its machine is full")
