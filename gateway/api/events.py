"""`GET /v1/events`: what happens, streamed, and taken up again where it broke off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from gateway.api import sse
from gateway.api.event_shapes import COMMON_KINDS, TYPES, Shaper, kinds_of
from gateway.api.problems import wrong_field
from gateway.api.routing import Answer, Call, Route
from gateway.events.feed import Feed, TooManyListeners
from gateway.orchestrator.service import OrderService
from gateway.orders.problems import Problem
from gateway.secrets.api_keys import Scope
from gateway.store.audit import RowFilter

_EVENT_STREAM = b"text/event-stream"
_HEADERS = [(b"X-Accel-Buffering", b"no")]


class EventRoutes:
    def __init__(self, feed: Feed, orders: OrderService, accounts: Collection[str]) -> None:
        self._feed = feed
        self._orders = orders
        self._accounts = accounts

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/events",
                scope=Scope.READ,
                handler=self.events,
                summary="Orders, sessions, kill switch, breakers and alarms as they happen (SSE)",
                tag="events",
                is_stream=True,
                query={
                    "account": "only what concerns this account",
                    "strategy": "only orders of this strategy",
                    "type": f"of {', '.join(TYPES.values())}; several separated by commas",
                    "after": "begin after this event's number; Last-Event-ID does the same",
                },
            ),
        ]

    async def events(self, call: Call) -> Answer:
        account = call.query.get("account") or None
        if account is not None and not (account in self._accounts and call.who.allows(account)):
            raise wrong_field("account", f"{account!r} is not an account that this key may see")
        names = [name for name in call.query.get("type", "").split(",") if name]
        try:
            kinds = kinds_of(names)
        except ValueError as error:
            known = ", ".join(TYPES.values())
            raise wrong_field("type", f"{error} is no type of event; there are {known}") from error
        wanted = RowFilter(
            after=await begin_at(call, self._feed),
            kinds=kinds,
            accounts=call.who.accounts,
            common_kinds=COMMON_KINDS,
            account=account,
        )
        shaper = Shaper(self._orders, call.who, call.query.get("strategy") or None)
        return streamed(self._feed, wanted.after, self._framed(wanted, shaper))

    async def _framed(self, wanted: RowFilter, shaper: Shaper) -> AsyncIterator[bytes]:
        async for rows in self._feed.follow(wanted):
            yield sse.frames(await shaper.events(rows))


async def begin_at(call: Call, feed: Feed) -> int:
    """Return the row after which this listener begins. Raises `Problem` for a bad number."""
    try:
        place = sse.place_of(call.headers, call.query)
    except sse.BadPlace as error:
        raise wrong_field(str(error), "must be the number (id) of an event") from error
    return await feed.head() if place is None else place


def streamed(feed: Feed, after: int, pieces: AsyncIterator[bytes]) -> Answer:
    """Answer with a stream of what comes after a row.

    Raises: `Problem` 503 when as many streams as are served are open.
    """
    try:
        feed.assert_room()
    except TooManyListeners as error:
        raise Problem(
            503,
            "too_many_streams",
            "as many streams as the gateway serves are open; close one",
            headers={"Retry-After": "5"},
        ) from error
    return Answer(content_type=_EVENT_STREAM, headers=_HEADERS, stream=_begun(after, pieces))


async def _begun(after: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield sse.hello(after)
    async for piece in pieces:
        yield piece
