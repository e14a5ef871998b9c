"""The gateway over HTTP, sentence by sentence of its contract: a real server, a real Valkey, and
doubles for the providers."""
