"""The routes, one file per area. A blueprint speaks to meter, users and tenants, never to Redis."""
