"""Meters: what is counted of the usage log, for whom and over which time, exactly. Knows no price and no amount of money."""
