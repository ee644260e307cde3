"""What connectors share: HTTP with outcomes, the conformance kit, what simulators stand on. Knows no system."""
