"""Sealed usage: each tenant's events in Parquet files named by a manifest in PostgreSQL, with partial aggregates beside them.

What the log acknowledged waits in the `tail` until the `sealing` thread writes it; `compacting` sorts it by month; `reading` is how
every other part sees files and tail as of one version. Nothing here knows customers, meters or prices.
"""
