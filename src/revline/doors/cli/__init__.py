"""The command line: a thin door to the same services as the API. Data on stdout, all else on stderr; `--json` everywhere."""
