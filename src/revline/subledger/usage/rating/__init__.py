"""Rating: a quantity and a price to an amount, with every step of the way. Pure and exact; knows no event, no meter, no database.

One engine: a single quantity is a column of one.
"""
