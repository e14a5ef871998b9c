"""The routes of the providers' own SDKs, as they are documented."""

from server.blueprints import gateway, models, responses

BLUEPRINTS = (
    gateway.blueprint,
    responses.blueprint,
    models.blueprint,
)
