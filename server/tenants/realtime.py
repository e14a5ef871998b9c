"""A realtime endpoint of a tenant's config: an upstream for people who speak, and its prices.

Nothing served these once, and anything could be stored. So a stored member that cannot be used
counts as absent, and takes nothing else of the config with it.
"""

from typing import Literal

from pydantic import Field

from server.tenants.endpoint import Endpoint, is_host
from server.tenants.strict import Lenient, Text

RealtimeProtocol = Literal["openai", "ultravox"]

_URLS: dict[RealtimeProtocol, str] = {
    "openai": "https://api.openai.com/v1/realtime",
    "ultravox": "https://api.ultravox.ai/api/calls",
}
_SECONDS: dict[RealtimeProtocol, int] = {"openai": 3_600, "ultravox": 600}
LEAST_SECONDS = 30
"""Of a session or call."""


class RealtimeEndpoint(Lenient, Endpoint):
    """An upstream for voice: sessions of OpenAI's Realtime API, or calls of Ultravox."""

    url: Text | None = Field(
        None, description="of its sessions or calls: https or wss; absent: the provider's own"
    )
    protocol: RealtimeProtocol | None = Field(
        None,
        description="absent: `ultravox` for an endpoint of that name or host, else `openai`",
    )
    model: Text | None = Field(None, description="for those who name none")
    voice: Text | None = Field(None, description="where a client sets none")
    context: int = Field(
        32_000, ge=1, le=10_000_000, description="most input tokens that an estimate assumes"
    )
    image_tokens: int = Field(1_600, ge=0, le=1_000_000, description="tokens that an image costs")
    reasoning: bool = Field(False, description="whether its models may reason, which nobody hears")
    unbounded: bool = Field(False, description="takes what may cost more than can be known before")
    transcription_tokens_per_second: int = Field(
        10, ge=0, le=1_000_000, description="of transcription that the provider bills by time"
    )
    max_seconds: int | None = Field(
        None,
        ge=LEAST_SECONDS,
        le=86_400,
        description="of a session or call; absent: 3600, of Ultravox 600",
    )
    tokens_per_second: int = Field(
        10, ge=1, le=1_000_000, description="tokens that a second of an Ultravox call counts as"
    )
    sample_rate: int = Field(
        48_000, alias="sampleRate", ge=8_000, le=48_000, description="of audio to Ultravox, in Hz"
    )
    encoding: Literal["pcm_s16le"] = Field("pcm_s16le", description="of audio to Ultravox")

    @property
    def first_model(self) -> str | None:
        return self.model

    def speaks(self, name: str) -> RealtimeProtocol:
        """The protocol of the endpoint of this name."""
        if self.protocol is not None:
            return self.protocol
        is_ultravox = name == "ultravox" or is_host(self.url, "api.ultravox.ai")
        return "ultravox" if is_ultravox else "openai"

    def http_url(self, name: str) -> str:
        """Where the endpoint of this name is asked; a WebSocket begins as HTTP, too."""
        return of_http(self.url or _URLS[self.speaks(name)])

    def most_seconds(self, name: str) -> int:
        """Of a session or call of the endpoint of this name."""
        return self.max_seconds or _SECONDS[self.speaks(name)]


def of_http(url: str) -> str:
    """A WebSocket's URL as that of the request that opens it; any other as it is."""
    scheme, colon, rest = url.partition(":")
    return f"http{scheme[2:]}{colon}{rest}" if scheme.lower() in ("ws", "wss") else url
