"""Who signs in: what Google and Apple say of them, asked for and verified."""
