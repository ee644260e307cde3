"""The usage log of a shard: what is acknowledged is on disk, once. Knows no meter, no price and no PostgreSQL."""
