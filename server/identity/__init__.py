"""Users: who somebody is, and with which API keys."""
