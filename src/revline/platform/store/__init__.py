"""PostgreSQL: engine, embedded server, unit of work, walls between tenants, position counter, audit hash chain, migrations."""
