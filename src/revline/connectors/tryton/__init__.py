"""Tryton 8.2 over its JSON-RPC: customers, invoices, voids and credit memos natively, everything else as moves."""
