"""The whole system under one seed: the real rooms on a real PostgreSQL, a clock and a network that are simulated."""
