"""Prepaid credits: what a customer was granted, what pays for use, what expires or is given back, as a ledger that sums to
zero.

`values` and `settling` are pure: a statement follows from lines, commitments and grants alone, whenever and in whatever order
they came. The ledger keeps what statements said; when a later one says otherwise, the difference is posted and nothing is
edited.
"""
