"""Outbound webhooks by Standard Webhooks 1.0: an endpoint of somebody else as a far side that takes messages."""
