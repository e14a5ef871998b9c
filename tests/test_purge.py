"""The purge command takes what a deleted tenant left, and nothing of another."""
