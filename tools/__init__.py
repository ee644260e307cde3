"""Developer tools: lints of our own and generators. Not shipped."""
