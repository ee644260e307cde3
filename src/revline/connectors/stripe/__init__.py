"""Stripe as a source: its webhooks and API objects become canonical facts."""
