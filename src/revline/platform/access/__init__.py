"""Who may do what: API keys, roles and what each role may do. It knows no route and no room above."""
