"""One root object at a time: its facts to accounting events, journals and documents, in one unit of work.

The only caller of receivables, posting and delivery together.
"""
