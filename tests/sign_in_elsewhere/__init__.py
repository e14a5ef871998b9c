"""Signing in at doubles that others have made: nanoidp, as Google, and emulate's Apple. Both are
installed into `build/`, not into the environment of the tests."""
