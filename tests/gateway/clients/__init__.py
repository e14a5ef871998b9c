"""What the official SDKs make of the gateway. `make test-aimock` runs these, too."""
