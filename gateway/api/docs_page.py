"""`/docs`: the OpenAPI document as a page, with nothing fetched from anywhere but this gateway."""

from __future__ import annotations

from importlib import resources

from gateway.api.routing import Answer, Call, Route

_POLICY = (
    b"default-src 'none'; connect-src 'self'; script-src 'unsafe-inline';"
    b" style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_route() -> Route:
    """The route; its page reads `/openapi.json` in the browser."""
    page = resources.files("gateway.api").joinpath("docs.html").read_bytes()

    async def docs(call: Call) -> Answer:
        return Answer(
            body=page,
            content_type=b"text/html; charset=utf-8",
            headers=[(b"Content-Security-Policy", _POLICY)],
        )

    return Route(
        method="GET",
        path="/docs",
        scope=None,
        handler=docs,
        summary="The API described on a page",
        tag="documentation",
    )
