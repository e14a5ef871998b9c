"""The soak, `make soak`: mixed load for a while, and what the workers' memory makes of it."""
