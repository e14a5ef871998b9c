"""The routes, one file per area; and what all of them share: requests, refusals, preflights, CORS.

A blueprint asks the services (server/services.py), never Redis.
"""
