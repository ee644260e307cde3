"""How facts come in: contract check, exact dedupe, the immutable fact log. It knows no vendor, no account and no ERP."""
