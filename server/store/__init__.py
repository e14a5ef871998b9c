"""Redis: where it is, how commands reach it, the scripts, and the names of all keys."""
