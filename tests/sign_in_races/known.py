"""What callers know of API keys: who was told them, and what may have ended them."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.api import User
from tests.callers import Answer

MOST_LOGIN_KEYS = 20
LATE_SECONDS = 1
"""For which what a worker that is killed has sent to Redis may still be on its way."""


@dataclass(frozen=True)
class Known:
    """A key by the answer that had it; `maker`: of a restricted one, the key that it dies with."""

    user: User
    asked_at: float
    answered_at: float
    maker: str = ""


@dataclass
class Ending:
    """Of a key, or of all that a user has but `but`; or, where it is not known whose, of all that
    those who have had `identity` have.

    `until` is when it was over; `is_sure`: it was done, by the answer.
    """

    key: str = ""
    user_id: str = ""
    identity: str = ""
    but: str = ""
    begun: float = field(default_factory=time.monotonic)
    until: float = 0
    is_sure: bool = False


class Keys:
    """Of one tenant."""

    def __init__(self) -> None:
        self.known: list[Known] = []
        self.endings: list[Ending] = []
        self.had_identity: dict[str, set[str]] = {}
        """The users who may have had it."""
        self.login_keys: Counter[str] = Counter()
        """How many a user may have got at most, known or not."""

    def learn(self, user: User, asked_at: float, maker: str = "") -> None:
        self.known.append(Known(user, asked_at, time.monotonic(), maker))

    def begin(self, ending: Ending) -> Ending:
        self.endings.append(ending)
        ending.until = float("inf")
        return ending

    def over(self, ending: Ending, answer: Answer | None, done: int, *undone: int) -> None:
        """By its answer, whose status is `done` if that has ended what it was to end, and one of
        `undone` if it has ended nothing."""
        status = answer.status if answer else None
        if status in undone:
            self.endings.remove(ending)
        ending.until = time.monotonic() + (0 if status else LATE_SECONDS)
        ending.is_sure = status == done

    def must_work(self, known: Known) -> bool:
        return not self._may_have_gone_by_the_cap(known) and not any(
            self._concerns(ending, known) and ending.until > known.asked_at
            for ending in self.endings
        )

    def must_be_refused(self, known: Known) -> bool:
        return any(
            ending.is_sure
            and not ending.identity
            and ending.begun > known.answered_at
            and self._concerns(ending, known)
            for ending in self.endings
        )

    def _concerns(self, ending: Ending, known: Known) -> bool:
        api_key, user_id = known.user.api_key, known.user.user_id
        if ending.but and ending.but == api_key:
            return False
        if ending.key:
            return ending.key in (api_key, known.maker)
        users = self.had_identity.get(ending.identity, set()) | {ending.user_id}
        return user_id in users

    def _may_have_gone_by_the_cap(self, known: Known) -> bool:
        key = known.maker or known.user.api_key
        too_many = self.login_keys[known.user.user_id] > MOST_LOGIN_KEYS
        return key.startswith("key_") and too_many
