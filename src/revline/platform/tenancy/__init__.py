"""Tenants, their legal entities and connections, and how their secrets are found. Knows no accounting."""
