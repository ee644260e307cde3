"""Charges: what a customer's metered use of a period costs, from a version of the usage log; revised when usage changes."""
