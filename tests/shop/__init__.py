"""Buying over HTTP, at a double of Stripe's: `make test-billing`."""
