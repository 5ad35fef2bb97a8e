"""The operator console: a client of the gateway over its REST API and event stream only."""
