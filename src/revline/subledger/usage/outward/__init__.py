"""Usage on its way out to billing and back: what is pushed, which invoice line bills which charge, what was billed otherwise.

`compare` rates an invoice line against what we expected of it (pure), `accruals` says what stands for usage that is used and not
billed yet (pure). Documents are written above delivery, so `feedback` owns their shell; nothing here knows a far system.
"""
