"""Pages of another origin, in Chromium and Firefox: the official SDKs, what they may send and can
read; /client.js, and the documented pages. `make test-browsers`; it installs npm packages into
`build/`."""
