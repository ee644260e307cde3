"""The HTTP API: /v1, problem+json on every error, opaque cursors. It knows routes and headers, no SQL and no accounting."""
