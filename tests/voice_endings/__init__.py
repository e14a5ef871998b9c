"""Sessions of voice that end at random points, in every way there is: clients and providers vanish,
workers are killed and drained, Redis is away. No hold is left after its deadline, each response is
charged once, and the audit is clean. `make test-voice`; `ENDINGS` says how many of each, `SEED`
which."""
