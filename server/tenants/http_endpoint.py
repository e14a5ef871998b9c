"""An endpoint of a tenant's config that answers each call by HTTP: how it wants to be asked."""

from collections import Counter
from functools import cached_property
from typing import Annotated
from urllib.parse import urlencode

from pydantic import Field, StringConstraints, field_validator

from server.tenants.endpoint import Endpoint, Sendable, is_host
from server.tenants.strict import Text

_OURS = frozenset(
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
_LEAST_SECRET = 8
"""Characters: what is shorter is no secret, and taken out of errors it would spoil them."""


class HttpEndpoint(Endpoint):
    """An upstream that is asked and answers."""

    default_model: Text | None = None
    allow: list[Text] = Field(
        [], description="members and betas that may change what a call costs or what is kept of it"
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
        others = (*self.headers.values(), *self.query.values())
        secrets = {self.api_key or "", *(one for one in others if len(one) >= _LEAST_SECRET)}
        return tuple(sorted(secrets - {""}, key=len, reverse=True))

    @cached_property
    def is_of_openai(self) -> bool:
        return is_host(self.url, "api.openai.com")

    @field_validator("headers")
    @classmethod
    def _are_not_ours(cls, headers: dict[str, str]) -> dict[str, str]:
        names = Counter(name.lower() for name in headers)
        if ours := _OURS & names.keys():
            raise ValueError(f"{min(ours)} is set for each call")
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"{twice[0]} comes twice")
        return headers
