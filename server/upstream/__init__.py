"""The HTTP client for providers: where it may connect to, and what comes back."""
