"""The service: HTTP API, orchestrator, store, sessions, instruments, audit. Knows no broker by name."""
