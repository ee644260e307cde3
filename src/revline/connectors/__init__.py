"""External systems, in and out: one package each, found by entry point. Knows the core; no room knows a connector."""
