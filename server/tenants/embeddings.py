"""An embeddings endpoint of a tenant's config: an upstream that makes vectors of texts.

Nothing served these once, and anything could be stored, as of realtime endpoints (realtime.py).
"""

from typing import ClassVar

from server.tenants.http_endpoint import HttpEndpoint
from server.tenants.strict import Lenient


class EmbeddingsEndpoint(Lenient, HttpEndpoint):
    """An upstream for embeddings, of OpenAI's protocol."""

    # What text endpoints have settings for, and there is nothing of here.
    image_tokens: ClassVar[int] = 0
    reasoning: ClassVar[bool] = False
    returns_state: ClassVar[bool] = False
    unbounded: ClassVar[bool] = False
