"""Runs the double of Stripe until it is stopped, to buy without an account there.

Usage: python -m tests.doubles.stripe_api [--port 4200]
"""

from tests.doubles.listen import listen, run
from tests.doubles.stripe_api.app import make_app

if __name__ == "__main__":
    says = "Listening: STRIPE_URL={url}"
    run("tests.doubles.stripe_api", __doc__, 4200, lambda port: listen(make_app(), port), says)
