"""The console's pages, a module a subject. Each exports PAGES; `registry.py` lists the modules."""
