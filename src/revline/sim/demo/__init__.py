"""The demonstration: two tenants, three legal entities, a month from quote to cash, into a real Tryton and a simulated NetSuite."""
