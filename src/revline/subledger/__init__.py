"""From facts to journals. Knows no far system and no wire format."""
