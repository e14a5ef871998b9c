"""Google and Apple to sign in at, without an account.

Usage: python -m tests.doubles.sign_in [--port 4100]
"""

from tests.doubles.listen import listen, run
from tests.doubles.sign_in.app import create_app

if __name__ == "__main__":
    says = "Listening: GOOGLE_URL={url}/google APPLE_URL={url}/apple"
    run("tests.doubles.sign_in", __doc__, 4100, lambda port: listen(create_app(), port), says)
