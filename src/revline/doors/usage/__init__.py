"""The ways usage comes in: POST /v1/usage, files, Kafka. They know bytes, keys and answers; what becomes of events is the log's."""
