"""An endpoint of a tenant's config that answers each call by HTTP: how it wants to be asked."""

from collections import Counter
from functools import cached_property, partial
from typing import Annotated, Any
from urllib.parse import quote, quote_plus, urlencode

from orjson import JSONEncodeError
from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from server.providers.estimate import measure
from server.tenants.endpoint import Endpoint, Sendable, is_host
from server.tenants.strict import TO_BE_STORED, Text

_OF_THE_GATEWAY = frozenset(
    {"max_completion_tokens", "max_tokens", "messages", "model", "n", "stream", "stream_options"}
)
# Of responses. What is stored may have it, from before there were any, and is served.
_OF_RESPONSES = frozenset({"input", "max_output_tokens"})
_OUR_HEADERS = frozenset(
    {
        # What each request has, or says how it is sent (upstream/client.py), and what is the
        # protocols' own (providers/wire.py).
        *("accept", "accept-encoding", "connection", "content-encoding", "content-length"),
        *("content-type", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding"),
        *("upgrade", "user-agent"),
        *("anthropic-beta", "anthropic-version", "authorization", "x-api-key"),
    }
)
_HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
_MOST = 20
_SAFE = "/?:@!$'()*,"
_IN_URLS = (partial(quote_plus, safe=_SAFE), quote_plus, partial(quote, safe=""))
"""How a value stands in a URL: as it is sent, and as servers write it anew."""
_LEAST_SECRET = 8
"""Characters: what is shorter is no secret, and taken out of errors it would spoil them."""


class HttpEndpoint(Endpoint):
    """An upstream that is asked and answers."""

    default_model: Text | None = None
    allow: list[Text] = Field(
        [], description="members and betas that may change what a call costs or what is kept of it"
    )
    force: dict[str, Any] = Field(
        {}, description="members of its requests, whatever a client says; null: none"
    )
    headers: dict[_HeaderName, Sendable] = Field(
        {}, max_length=_MOST, description="further headers of its requests"
    )
    query: dict[Text, Text] = Field(
        {}, max_length=_MOST, description="what its URL has in its query, besides its own"
    )

    @property
    def first_model(self) -> str | None:
        return self.default_model

    def asked_at(self, url: str) -> str:
        """One of its URLs, with its query."""
        if not self.query:
            return url
        url, hash_sign, fragment = url.partition("#")
        return f"{url}{'&' if '?' in url else '?'}{urlencode(self.query)}{hash_sign}{fragment}"

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What none of its errors may tell; one that has another in it comes first."""
        values = {*self.headers.values(), *self.query.values()}
        # `Token <secret>`, of which servers tell the second word; and as a URL has it.
        values |= {value.rpartition(" ")[2] for value in self.headers.values()}
        values |= {way(value) for value in self.query.values() for way in _IN_URLS}
        secrets = {self.api_key or "", *(one for one in values if len(one) >= _LEAST_SECRET)}
        return tuple(sorted(secrets - {""}, key=len, reverse=True))

    @cached_property
    def is_of_openai(self) -> bool:
        return is_host(self.url, "api.openai.com")

    @cached_property
    def allowed(self) -> frozenset[str]:
        """Members that are not the client's to be refused: what is forced is not the client's."""
        return frozenset({*self.allow, *self.force})

    @cached_property
    def is_own_host(self) -> bool:
        """Is it one of those who made the protocols?"""
        return self.is_of_openai or is_host(self.url, "api.anthropic.com")

    @cached_property
    def forced_size(self) -> int:
        """Bytes of prompt."""
        return measure(self.force).size

    @field_validator("force")
    @classmethod
    def _are_its_own(cls, force: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        more = _OF_RESPONSES if info.context == TO_BE_STORED else frozenset()
        if ours := (_OF_THE_GATEWAY | more) & force.keys():
            raise ValueError(f"{min(ours)} is set for each call, and cannot be forced")
        try:
            measure(force)
        except JSONEncodeError:  # what others have stored may be nested more deeply than is sent
            raise ValueError("is nested too deeply") from None
        return force

    @field_validator("headers")
    @classmethod
    def _are_not_ours(cls, headers: dict[str, str]) -> dict[str, str]:
        names = Counter(name.lower() for name in headers)
        if ours := _OUR_HEADERS & names.keys():
            raise ValueError(f"{min(ours)} is set for each call")
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"{twice[0]} comes twice")
        return headers
