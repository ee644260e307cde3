"""From the bytes of a body to events of usage that are checked, identified and in canonical form. Pure."""
