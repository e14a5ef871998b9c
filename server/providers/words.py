"""Words: what a failure says, in whatever shape, without the tenant's secrets.

The shapes are those of OpenAI, Anthropic, Gemini, Mistral, MiniMax, vLLM, TGI, FastAPI, AWS and of
problem details (RFC 9457).
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import orjson

from server.providers.reading import an_object, string

_LONGEST_MESSAGE = 2_000
_LONGEST_NAME = 200
_LONGEST_TEXT = 65_536
"""Of which all secrets but the endpoint's are taken out; then it is cut to what is passed on."""
_DEEPEST = 5
_MOST_LISTED = 10
_MOST_OTHERS = 30
MOST_MEMBERS = 200
"""Of the members of what may be a failure: an honest one has a few."""
_MOST_PARTS = 500
"""Objects and lists of a failure that are looked into, which takes 5 ms."""
# Accounts of the tenant that providers name in their messages, and what looks like a key.
_OF_THE_TENANT = re.compile(
    r"\b(?:(?:org|proj|sk|acct|wrkspc)[-_][A-Za-z0-9*_.-]{4,}"
    r"|(?:gsk|xai|pplx|nvapi|hf)[-_][A-Za-z0-9*_.-]{16,})"
)
# Members that say what failed; those that have more than a word come first.
_SAYING = (
    *("message", "detail", "details", "msg", "error_message", "error_msg", "errorMessage"),
    *("error_description", "Message", "reason", "title", "status_msg", "errors", "error"),
    *("base_resp", "errorMsg", "errmsg", "err", "exception", "description"),
)
_ERROR_FIRST = tuple(dict.fromkeys(("error", *_SAYING)))
_KINDS = ("type", "error_type", "status", "__type")
_CODES = ("code", "error_code", "errcode", "errorCode", "Code")
# That name the member which is refused.
_PLACES = ("param", "loc", "field", "instancePath")
# Of which an answer has none.
_OF_FAILURES = frozenset(
    {"detail", "message", "msg", "code", "Message", "err", "fault", "traceback"}
)
_A_FAILURE = re.compile("error|exception|errmsg|errcode|fail", re.IGNORECASE)
"""Is in the names of all other members, types and states of failures."""
_STATES = ("object", "type", "event", "status", "state")
_NUMBERS = ("status", "status_code", "statusCode")
_A_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Words(NamedTuple):
    """'' is what is not said; `number`: a status of HTTP that is told as a code, 0 for none."""

    message: str
    kind: str
    code: str
    param: str
    number: int


def words_of(failure: Any, *secrets: str) -> Words:
    """Of what was parsed, or of a plain text, of an endpoint that has these secrets."""
    said = _describe(failure, 0, iter(range(_MOST_PARTS)))
    code, number = said.get("code"), 0
    if type(code) is int or (isinstance(code, str) and code.isdecimal() and len(code) == 3):
        number = int(code) if 400 <= int(code) < 600 else 0
        code = "" if number else str(code)
    texts = (said.get("message"), said.get("type"), code, said.get("param"))
    message, *names = (without_secrets(string(text), *secrets) for text in texts)
    kind, code, param = (name[:_LONGEST_NAME] for name in names)
    return Words(message[:_LONGEST_MESSAGE], kind, code, param, number)


def is_error(value: Any) -> bool:
    """Is it one, where an answer may have `error`? Some servers always have one, in which there is
    nothing."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def is_failure(value: dict[str, Any]) -> bool:
    """Does it look like one? For what has nothing of an answer."""
    numbers = (value.get(name) for name in _NUMBERS)
    return (
        any(_is_of_a_failure(string(value.get(name))) for name in _STATES)
        or any(type(number) is int and number >= 400 for number in numbers)
        or any(value.get(name) is False for name in ("success", "ok"))
        or bool(an_object(value.get("base_resp")).get("status_code"))
        or any(value[name] and _is_of_failures(name) for name in islice(value, MOST_MEMBERS))
    )


def _is_of_failures(name: str) -> bool:
    return name.lower() in _OF_FAILURES or _is_of_a_failure(name)


def _is_of_a_failure(text: str) -> bool:
    # A longer one is no name, and to look through it would hold everybody else up.
    return _A_FAILURE.search(text[:_LONGEST_NAME]) is not None


def without_secrets(text: str, *secrets: str) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")  # before it is cut, maybe in the midst of one
    return _OF_THE_TENANT.sub("***", text[:_LONGEST_TEXT])


def has_secrets(value: dict[str, Any], *secrets: str) -> bool:
    """Is there one in what is no answer, of which anything may be passed on?"""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return True
    written = (orjson.dumps(secret).decode()[1:-1] for secret in secrets)  # as in a JSON text
    return len(text) > _LONGEST_TEXT or without_secrets(text, *written) != text


def _describe(value: Any, depth: int, parts: Iterator[int]) -> dict[str, Any]:
    """`message`, and perhaps `type`, `code` and `param`; {} if nothing is said. `parts`: one for
    each object or list that may still be looked into."""
    if isinstance(value, str):
        return {"message": value} if value.strip() else {}
    if not isinstance(value, dict | list) or depth > _DEEPEST or next(parts, None) is None:
        return {}
    if isinstance(value, list):
        said = (_describe(item, depth + 1, parts) for item in value[:_MOST_LISTED])
        return next((words for words in said if words), {})
    found = {**_own_words(value), **_said_within(value, depth, parts)}
    return {name: text for name, text in found.items() if text}


def _said_within(value: dict[str, Any], depth: int, parts: Iterator[int]) -> dict[str, Any]:
    error = value.get("error")
    names = _ERROR_FIRST if isinstance(error, dict | list) else _SAYING
    named: dict[str, Any] = {}
    for said in (*(value.get(name) for name in names), *_other_sayings(value)):
        words = _describe(said, depth + 1, parts)
        if words.get("message"):
            return {**named, **words}
        named |= words
    return named


def _other_sayings(value: dict[str, Any]) -> Iterator[Any]:
    """Members of names that nobody knows: what is in them, and texts of more than a word."""
    for name, said in islice(value.items(), _MOST_OTHERS):
        if name not in _SAYING and (
            isinstance(said, dict | list) or (isinstance(said, str) and " " in said.strip())
        ):
            yield said


def _own_words(value: dict[str, Any]) -> dict[str, Any]:
    kinds = [string(value.get(name)) for name in _KINDS]
    codes = [value.get(name) for name in _CODES]
    codes += [an_object(value.get("details")).get("error_code"), value.get("error")]
    found = {
        "type": next((kind for kind in kinds if kind and kind != "error"), ""),
        "code": next(filter(_is_code, codes), ""),
        "param": next(filter(None, (string(value.get(name)) for name in _PLACES)), ""),
    }
    place = value.get("loc")
    if isinstance(place, list):  # FastAPI's, where the type is that of the check
        steps = (step for step in place[:9] if isinstance(step, str | int) and step != "body")
        found["param"] = ".".join(str(step)[:_LONGEST_NAME] for step in steps)
        found["type"] = ""
    return {name: text for name, text in found.items() if text}


def _is_code(value: Any) -> bool:
    return (type(value) is int and value > 0) or (
        isinstance(value, str) and _A_WORD.fullmatch(value) is not None
    )
