"""The registry of contracts: which schemas are published, their versions, owners, consumers and personal data."""
