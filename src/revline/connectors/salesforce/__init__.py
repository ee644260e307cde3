"""Salesforce: accounts, catalogue and everything from opportunity to contract as facts, and what became of them written back."""
