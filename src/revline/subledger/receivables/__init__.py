"""Open items: what customers owe, and what paid, gave up or undid it."""
