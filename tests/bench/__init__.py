"""What the service costs: CPU per request, and bytes in Redis. `make bench` runs all parts."""
