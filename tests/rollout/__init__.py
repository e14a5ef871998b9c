"""The rolling restart, `make test-rollout`: two servers behind HAProxy, replaced under load."""
