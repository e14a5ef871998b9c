"""The fault suite, `make test-faults`: real processes, real traffic, and things that go wrong."""
