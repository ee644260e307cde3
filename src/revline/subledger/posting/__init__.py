"""Accounting events, by effective-dated rules, to balanced journals and intended documents. Knows no ERP and no account code."""
