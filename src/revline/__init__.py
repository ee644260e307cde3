"""Revline: the governed layer between what a SaaS company sells and what its ERP books."""

__version__ = "0.1.0"
