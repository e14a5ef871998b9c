"""The routes of the providers' own SDKs, as they are documented."""

from server.blueprints import embeddings, gateway, models

BLUEPRINTS = (
    gateway.blueprint,
    embeddings.blueprint,
    models.blueprint,
)
