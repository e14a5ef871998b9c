"""The bounds that the docs state are those of the code."""

import re

import pytest

from server.blueprints import client_secrets, sign_in
from server.blueprints.body import LARGE_BYTES, MIB, OF_CALLS, OF_EMBEDDINGS, OF_OTHERS, SMALL_BYTES
from server.blueprints.form import MOST_FIELDS
from server.blueprints.keys import (
    LEAST_SECONDS,
    LIMITS_BYTES,
    LONGEST_NAME,
    MOST_NAMES,
    MOST_SECONDS,
    USUAL_SECONDS,
)
from server.blueprints.request import IDEMPOTENCY_KEY
from server.blueprints.start import LONGEST_STATE
from server.errors import MOST_DETAILS, PayloadTooLarge
from server.gateway.room import (
    REPLIES_BYTES,
    REQUESTS_BYTES,
    SMALL_REPLY_BYTES,
    SMALL_REQUEST_BYTES,
)
from server.identity.errors import TooManyClientSecrets, TooManyKeys
from server.identity.faults import LARGE_FAULT, MOST_FAULTS, REMEMBERED_CLIENTS
from server.identity.redirects import CODE_MS, REDIRECT_MS
from server.identity.sessions import STILL_WORKS_MS
from server.identity.users import REMEMBERED_KEYS
from server.identity.wrong_tokens import MOST_IN_A_MINUTE
from server.login_providers import published
from server.login_providers.apple_secret import WARN_SECONDS
from server.login_providers.claims import LEEWAY_SECONDS
from server.login_providers.key_set import LARGEST_TOKEN
from server.login_providers.web import LARGEST_ANSWER, QUESTIONS
from server.metering.waiting import MOST_IN_ALL, MOST_OF_A_TENANT, MOST_OF_A_USER
from server.openapi.refusals import REFUSALS
from server.places import MOST_CALLS
from server.providers.ask import MOST_CHOICES
from server.providers.bounds import (
    MOST_CALLS_OF_TOOLS,
    MOST_EVENT_VALUES,
    MOST_PARSED_BYTES,
    MOST_REPLY_BYTES,
    MOST_REPLY_VALUES,
)
from server.providers.words import MOST_MEMBERS
from server.tenants.prompts import (
    LONGEST_MATCHED,
    LONGEST_PROMPT,
    LONGEST_VALUE,
    MOST_COMPILED,
    MOST_PATTERNS,
)
from server.tenants.tenants import PARSED_BYTES
from server.timeouts import Timeouts
from server.upstream.names import LOOK_UPS, LOOK_UPS_OF_A_TENANT
from server.voice.transcripts import TOKENS_A_SECOND, TOKENS_AN_ITEM
from server.websocket.reading import LEAST_BYTES, MOST_AT_ONCE, MOST_SMALL, SMALL_SECONDS
from tests.processes import ROOT

KIB = 1024
LUA = "".join(path.read_text() for path in sorted((ROOT / "lua" / "prelude").glob("*.lua")))
LUA += "".join((ROOT / "lua" / f"{name}.lua").read_text() for name in ("add_key", "add_secret"))


def of_lua(name: str) -> int:
    names, values = re.findall(rf"^ *local (.*\b{name}\b.*) = ([\d, ]+)$", LUA, re.MULTILINE)[0]
    return int(values.split(", ")[names.split(", ").index(name)])


RESTRICTED, ANONYMOUS_RESTRICTED = of_lua("MOST_RESTRICTED"), of_lua("TEMPORARY_RESTRICTED")
RESTRICTED_BYTES = of_lua("TEMPORARY_BYTES")
SECRETS, SECRETS_BYTES = of_lua("MOST_SECRETS"), of_lua("SECRETS_BYTES")
ANONYMOUS_SECRETS = of_lua("TEMPORARY_SECRETS")
ANONYMOUS_SECRETS_BYTES = of_lua("TEMPORARY_SECRETS_BYTES")
HOLDS, KEYS = of_lua("MOST_HOLDS"), of_lua("ONCE_FIELDS")
ANONYMOUS_KEYS, ANONYMOUS_ENTRIES = of_lua("TEMPORARY_ONCE_FIELDS"), of_lua("TEMPORARY_ENTRIES")

STATED = {
    "README.md": [
        f"the first {MOST_DETAILS} faults",
        f"larger than {OF_OTHERS.size // MIB} MiB, of a provider call {OF_CALLS.size // MIB} MiB, "
        f"of a login with a challenge or a code {SMALL_BYTES // KIB} KiB, of a sign-in "
        f"{sign_in.MOST_BYTES // KIB} KiB",
        f"or not within {Timeouts().login_provider:.0f} s",
        f"{OF_OTHERS.values:,} values, of a provider call {OF_CALLS.values:,}",
        f"{HOLDS} open holds; {KEYS:,} kept `Idempotency-Key`s, an anonymous user's "
        f"{ANONYMOUS_KEYS}. {RESTRICTED} restricted keys, an anonymous user {ANONYMOUS_RESTRICTED}",
        f"{SECRETS} client secrets of voice, an anonymous user {ANONYMOUS_SECRETS}",
        f"{MOST_FAULTS:,} a minute of a key",
        f"429 after {MOST_IN_A_MINUTE} in a minute",
        f"of an anonymous user {ANONYMOUS_ENTRIES} at most",
    ],
    "docs/gateway.md": [
        f"may have {MOST_REPLY_BYTES // MIB} MiB, decompressed",
        f"Up to {MOST_PARSED_BYTES // MIB} MiB and {MOST_REPLY_VALUES:,} values",
        f"{MOST_PARSED_BYTES // MIB} MiB, {MOST_EVENT_VALUES:,} values, ",
        f"{MOST_CHOICES} choices that end",
        f"{MOST_CALLS_OF_TOOLS} calls of tools",
        f"its first {MOST_MEMBERS} members",
        f"from {SMALL_REPLY_BYTES // KIB} KiB a call on: {REPLIES_BYTES // MIB} MiB together",
        f"may have {OF_CALLS.size // MIB} MiB, {OF_CALLS.values:,} values",
        f"nested {OF_CALLS.depth} deep",
        f"may have {OF_EMBEDDINGS.size // MIB} MiB and {OF_EMBEDDINGS.values:,} values",
        f"{Timeouts().unpaid:.0f} s are waited for an answer",
        f"more than {LARGE_BYTES // KIB} KiB are read",
        f"room for {REQUESTS_BYTES // MIB} MiB",
        f"{LEAST_SECONDS} to {MOST_SECONDS:,} s, by default {USUAL_SECONDS:,}",
        f"at most {MOST_NAMES} names of at most {LONGEST_NAME} characters, all of a key "
        f"{LIMITS_BYTES:,} bytes",
        f"**{RESTRICTED}** of a user may be alive, **{ANONYMOUS_RESTRICTED}** of an anonymous one, "
        f"{RESTRICTED_BYTES} bytes together",
        f"Below {SMALL_REQUEST_BYTES // KIB} KiB nothing is counted",
        f"when {MOST_OF_A_USER} of the user's calls, {MOST_OF_A_TENANT} of the tenant's, or "
        f"{MOST_IN_ALL} of all, wait",
        f"After {Timeouts().tokens_held:.0f} s it is refused",
        f"{LONGEST_VALUE:,} at most",
        f"more than {LONGEST_PROMPT:,} characters with the longest values",
        f"patterns of a prompt may have {LONGEST_MATCHED:,} characters together",
        f"a config has {MOST_PATTERNS} different ones at most",
        f"{MOST_CALLS:,} calls under way at most",
        f"a tenant alone gets {MOST_CALLS * 8 // 9:,}",
        f"{LOOK_UPS_OF_A_TENANT} look-ups of names at a time in a worker, all tenants {LOOK_UPS}",
    ],
    "docs/voice.md": [
        f"for {client_secrets.LEAST_SECONDS} to {client_secrets.MOST_SECONDS:,} s, by default "
        f"{client_secrets.USUAL_SECONDS}",
        f"at most {client_secrets.SESSION_BYTES:,} bytes",
        f"**{SECRETS}** of a user may be alive, their sessions' configs {SECRETS_BYTES:,} bytes "
        f"together; of an anonymous user **{ANONYMOUS_SECRETS}**, "
        f"{ANONYMOUS_SECRETS_BYTES:,} bytes together",
        f"{TOKENS_A_SECOND} tokens a second of what was committed, {TOKENS_AN_ITEM} an item",
        f"not there after {Timeouts().transcribed:.0f} s",
        f"pinged every {Timeouts().heartbeat:.0f} s",
        f"or reads nothing for {Timeouts().unread_messages:.0f} s",
        f"The provider has {Timeouts().heard:.0f} s to say what it has heard",
        f"{MOST_SMALL:,} pings, pongs and fragments below {LEAST_BYTES} bytes within "
        f"{SMALL_SECONDS} s",
    ],
    "docs/sign-in.md": [
        f"good once, for {CODE_MS // 1000} s; the way from the page to the provider and back may "
        f"take {REDIRECT_MS // 60_000} minutes",
        f"1 to {LONGEST_STATE} visible characters",
    ],
    "docs/security.md": [
        f"{SMALL_BYTES // KIB} KiB, {MOST_FIELDS} fields, each name once",
        f"{LARGEST_TOKEN // KIB} KiB, measured before it is read",
        f"{MOST_AT_ONCE} messages, then all others have their turn; {MOST_SMALL:,} small frames "
        f"within {SMALL_SECONDS} s",
        f"{LARGEST_ANSWER // KIB} KiB, {Timeouts().login_provider / QUESTIONS:.1f} s a question, "
        f"{Timeouts().login_provider:.0f} s in all",
    ],
    "docs/operate.md": [
        f"{of_lua('MOST_LOGIN_KEYS')} of logins are kept",
        f"which works for {STILL_WORKS_MS // 1000} s more",
        f"and wait {Timeouts().challenge:.0f} s",
        f"a clock that may be {LEEWAY_SECONDS} s off",
        f"{published.LEAST_SECONDS // 60} minutes to {published.MOST_SECONDS // 3600} hours",
        f"The log warns {WARN_SECONDS // 86_400} days before",
        f"more than {MOST_FAULTS:,} in a minute",
        f"{LARGE_FAULT} at most; after more than {SMALL_REQUEST_BYTES // KIB} KiB",
        f"at most {SMALL_REQUEST_BYTES // KIB} KiB, which may be a replay",
        f"{MOST_IN_A_MINUTE} in a minute: 429",
        f"last {REMEMBERED_CLIENTS:,} keys and addresses",
        f"a room of {REQUESTS_BYTES // MIB} MiB",
        f"a room of {REPLIES_BYTES // MIB} MiB",
        f"used last: {PARSED_BYTES // MIB} MiB",
        f"API keys, the last {REMEMBERED_KEYS:,}",
        f"patterns of prompts, the last {MOST_COMPILED},",
        f"Calls under way are {MOST_CALLS:,} a worker at most",
        f"| {HOLDS} open holds, all by restricted keys |",
        f"| {ANONYMOUS_RESTRICTED}, {RESTRICTED_BYTES} bytes with what they are for |",
        f"| {ANONYMOUS_ENTRIES} entries",
        f"| {ANONYMOUS_KEYS}, of holds |",
        f"| {ANONYMOUS_SECRETS}, for {client_secrets.MOST_SECONDS // 3600} hours at most, "
        f"{ANONYMOUS_SECRETS_BYTES:,} bytes with",
    ],
}


@pytest.mark.parametrize(
    ("page", "phrase"), [(page, one) for page, phrases in STATED.items() for one in phrases]
)
def test_docs_state_the_bounds_of_the_code(page: str, phrase: str) -> None:
    assert phrase in " ".join((ROOT / page).read_text().split())


def test_the_apis_documentation_does() -> None:
    restricted = f"{RESTRICTED} restricted keys of a user may be alive, {ANONYMOUS_RESTRICTED} of"
    assert TooManyKeys.message.startswith(restricted)
    assert f"{RESTRICTED_BYTES} bytes together" in TooManyKeys.message
    secrets = (
        f"{SECRETS} client secrets of a user may be alive, their sessions {SECRETS_BYTES:,} bytes"
    )
    assert TooManyClientSecrets.message.startswith(secrets)
    of_anonymous = f"{ANONYMOUS_SECRETS} of an anonymous one, {ANONYMOUS_SECRETS_BYTES:,} bytes"
    assert of_anonymous in TooManyClientSecrets.message
    sizes = f"over {OF_OTHERS.size // MIB} MiB ({OF_CALLS.size // MIB} MiB for provider calls)"
    assert sizes in REFUSALS[PayloadTooLarge][0]
    kept = f"at most {KEYS:,} are kept, an anonymous user's {ANONYMOUS_KEYS}"
    assert kept in str(IDEMPOTENCY_KEY)
