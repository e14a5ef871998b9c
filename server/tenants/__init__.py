"""Tenants: their configs, and what becomes of them."""
