"""Durable, ordered, fair, leased units of work: lanes, the tenant ring and capacity pools. Knows no ERP and no accounting."""
