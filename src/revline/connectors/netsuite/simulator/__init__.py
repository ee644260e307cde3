"""A NetSuite account to rehearse with: its wire, its rules and its books. Must not know Revline's documents."""
