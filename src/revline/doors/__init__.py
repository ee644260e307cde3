"""Doors: thin ways to the same services. A door reads, asks a service and answers; it decides nothing."""
