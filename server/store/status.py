"""What a Lua script answers first: one enum for all of them, as in lua/prelude/base.lua."""

from enum import IntEnum


class Status(IntEnum):
    OK = 0
    REPLAYED = 1
    UNKNOWN_KEY = 2
    UNKNOWN_USER = 3
    RATE_LIMITED = 4
    NO_TOKENS = 5
    TOO_LARGE = 6
    KEY_REUSED = 7
    TOO_MANY_KEYS = 8
    EXISTS = 9
    ABSENT = 10
    MISMATCH = 11
    UNKNOWN_HOLD = 12
    TOO_MANY_HOLDS = 13
    NOT_ALLOWED = 14
    UNKNOWN_GROUP = 15
    TOO_MANY_CALLS = 16
    KEYS_EXPIRE = 17
    CLOSING = 18
    STALE = 19
    OVERTAKEN = 20
