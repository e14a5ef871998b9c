"""A text endpoint of a tenant's config: what it takes, and what may be asked of it."""

import re
from functools import cached_property
from typing import Literal

from pydantic import Field

from server.providers.options import is_search_model
from server.providers.wire import ProtocolName
from server.tenants.endpoint import is_host
from server.tenants.http_endpoint import HttpEndpoint
from server.tenants.strict import Text

_CHAT_PATH = "/chat/completions"


class TextEndpoint(HttpEndpoint):
    """An upstream for chat completions or messages, and for responses if it has these, too."""

    responses_url: Text | None = Field(
        None,
        description="of its responses; absent: beside its chat completions at OpenAI's own host, "
        "elsewhere requests for responses are translated",
    )
    moderations_url: Text | None = Field(
        None,
        description="of its moderations, which cost nothing; absent: beside its chat completions "
        "at OpenAI's own host, elsewhere it has none",
    )
    protocol: ProtocolName | None = None
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        None, description="what it calls the output limit; absent: by its host"
    )
    image_tokens: int = Field(1_600, ge=0, le=1_000_000, description="tokens that an image costs")
    reasoning: bool | None = Field(
        None,
        description="whether its models may reason without being asked to; absent: all may but "
        "those that are known not to",
    )
    takes_stream_options: bool = Field(
        True, description="its streams are asked for their usage, by `stream_options`"
    )
    returns_state: bool = Field(
        True,
        description="gets back in the next turn what it gave for it: reasoning, signatures of "
        "thoughts",
    )
    unbounded: bool = Field(False, description="takes what may cost more than can be known before")

    def speaks(self, name: str) -> ProtocolName:
        """The protocol of the endpoint of this name."""
        if self.protocol is not None:
            return self.protocol
        path = re.split("[?#]", self.url or "")[0]
        is_anthropic = name == "anthropic" or path.endswith("/v1/messages")
        return "anthropic" if is_anthropic else "openai"

    def known(self, model: str) -> str | None:
        known = super().known(model)
        is_named = known is None or known in self.named_models
        if not is_named and is_search_model(model) and model not in self.allow:
            return None
        return known

    @cached_property
    def is_of_openai(self) -> bool:
        return any(is_host(url, "api.openai.com") for url in (self.url, self.responses_url))

    @cached_property
    def url_of_responses(self) -> str | None:
        """None if it does not speak them."""
        return self.responses_url or self._beside_chat("responses")

    @cached_property
    def url_of_moderations(self) -> str | None:
        """None if it has none."""
        return self.moderations_url or self._beside_chat("moderations")

    def _beside_chat(self, path: str) -> str | None:
        """What OpenAI's own host has there."""
        url = self.url or ""
        if not url.endswith(_CHAT_PATH) or not is_host(url, "api.openai.com"):
            return None
        return f"{url.removesuffix(_CHAT_PATH)}/{path}"

    @cached_property
    def effective_limit_field(self) -> Literal["max_tokens", "max_completion_tokens"]:
        """The member of a chat completion request that bounds its output.

        OpenAI's newer models refuse `max_tokens`; other hosts may not know the other.
        """
        if self.limit_field is not None:
            return self.limit_field
        return "max_completion_tokens" if self.is_of_openai else "max_tokens"
