"""The official SDKs in pages of another origin, in Chromium and Firefox: what they may send, and
what they can read. `make test-browsers`; it installs npm packages into `build/`."""
