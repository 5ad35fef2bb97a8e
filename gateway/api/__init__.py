"""The REST API: routes, authentication, problem answers, OpenAPI, and the server they run in."""
