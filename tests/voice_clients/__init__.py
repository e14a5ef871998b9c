"""Voice with clients of others' making: OpenAI's SDKs for Python and JavaScript, its Agents SDK in
Node and in a page of Chromium, Ultravox' client as far as its join socket; and aimock as a provider
that is not ours. `make test-voice`; it installs npm packages into `build/`."""
