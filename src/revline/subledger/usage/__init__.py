"""Usage: from events to charges, exact to the cent, and back from a charge to its events.

An event is acknowledged once it is on disk in the `log`, is sealed into the tenant's Parquet files by the `store`, counted by a
meter (`metering`), priced (`rating`, pure), paid from prepaid credits (`credits`) and becomes a line of a charge (`charges`).
`kinds`, `events`, `columns` and `versions` are what these share. This room states accounting events and books nothing.
"""
