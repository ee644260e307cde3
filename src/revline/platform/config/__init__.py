"""Configuration as code: documents, validation, versions and activation. Knows no kind of its own; packages register theirs."""
