"""A call through the gateway: which endpoints, tried how, relayed, and what it costs."""
