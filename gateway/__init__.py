"""The service: API, orchestrator, store, sessions, instruments. Knows no broker by name."""
