"""The wheel holds all that the server needs, and runs outside of the checkout."""
