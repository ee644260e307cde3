"""Helpers that connectors share: HTTP with outcomes, and the conformance kit. Knows no single external system."""
