"""Runs the double of Stripe until it is stopped, to buy without an account there.

Usage: python -m tests.doubles.stripe_api [--port 4200]
"""

from tests.doubles.listen import run
from tests.doubles.stripe_api.app import make_app

if __name__ == "__main__":
    run("tests.doubles.stripe_api", __doc__, 4200, make_app, "Listening: STRIPE_URL={url}")
