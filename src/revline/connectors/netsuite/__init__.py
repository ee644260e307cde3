"""NetSuite over SuiteTalk REST, and a simulated NetSuite that keeps books of its own. Must not know Revline's database."""
