"""The routes, one file per area, each documented beside its handler; and what surrounds them:
what handlers ask of a request, the error handler, preflights, CORS, labels.

A blueprint speaks to the rooms below (meter, users, tenants ...), never to Redis.
"""
