"""The gateway in front of aimock, a double of others' making: what ours and the gateway agree on
by mistake shows here. `make test-aimock`; it installs npm packages into `build/`."""

GREETING = "Hello from another double, in several chunks."
GREETING_TOKENS = 58
"""What fixtures.json says of it, input and output."""
