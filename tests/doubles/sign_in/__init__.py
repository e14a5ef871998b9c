"""Google and Apple, as far as a server that signs people in sees them; nobody needs an account.

    with SignInDouble() as double:                 # GOOGLE_URL=double.google.url, APPLE_URL=...
        double.google.client("app-1", secret="s")
        token = double.google.token(aud="app-1", sub="ada")     # forged as the test wants it
        assert double.google.asked("keys") == 1

Both are issuers of one server, at `<url>/google` and `<url>/apple`, with the paths that the real
ones have. They keep codes to their clients, to one use and to 5 minutes, and refuse what those
refuse: a wrong client secret (Apple's a token that is verified), a wrong or missing verifier, a
redirect to an address that the code was not made for.

Everything is operated over HTTP, below `<issuer>/double`: control.py has the list, SignInDouble a
method for each. The same as a process: `python -m tests.doubles.sign_in --port 4100`.
"""

from tests.doubles.sign_in.operator import Operator, SignInDouble

__all__ = ["Operator", "SignInDouble"]
