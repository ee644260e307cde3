"""The demonstration: two tenants, three legal entities, a month of Stripe input, a real Tryton and a simulated ERP."""
