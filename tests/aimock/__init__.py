"""The gateway in front of aimock, a double of others' making: what ours and the gateway agree on
by mistake shows here. `make test-aimock`; it installs npm packages into `build/`."""
