"""A folder as a billing system: metered use as files with control totals, in sequence, each report once."""
