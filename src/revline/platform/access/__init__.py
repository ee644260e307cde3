"""Who may do what: people and their sessions, API keys, roles and what each role may do. It knows no route and no room above."""
