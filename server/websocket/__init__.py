"""WebSockets: both ends of a relay, the client's and the provider's, on connections of others."""
