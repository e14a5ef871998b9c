"""vibe-server: metered, multi-tenant access to AI providers. Importing it starts nothing."""
