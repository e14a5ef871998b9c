"""The load test, `make load`: locust's users on a server, their sums held against its ledger."""
