"""The clients that apps use today, each as an app sets it up: a completion, a stream, a call of a
tool and a structured output by its default path, at endpoints that speak responses, chat
completions and messages; and what its user sees at 401, 402 and 429. `make test-clients`; it
installs packages of Python and npm into `build/`.

`apps` has one file for each client, which is given calls and prints what came of them (acting.py).
The `.py` run in environments of their own, so nothing of ours is imported there.
"""
