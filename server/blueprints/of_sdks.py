"""The routes of the providers' own SDKs, as they are documented."""

from server.blueprints import embeddings, gateway, models, responses, unpaid

BLUEPRINTS = (
    gateway.blueprint,
    responses.blueprint,
    embeddings.blueprint,
    unpaid.blueprint,
    models.blueprint,
)
