"""The order routes: place, look, list, history, cancel."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from gateway.api.modify import ModifiedLeg, ModifiedOrder, ModifyRequest, changes_of
from gateway.api.problems import wrong_field
from gateway.api.redaction import hidden_of, without
from gateway.api.routing import Answer, Call, Route
from gateway.api.views import (
    History,
    HistoryEvent,
    OrderList,
    OrderView,
    order_status,
    order_view,
    server_timing,
)
from gateway.orchestrator.account import Account
from gateway.orchestrator.live import LiveOrder
from gateway.orchestrator.service import OrderService
from gateway.orders.problems import Problem
from gateway.orders.request import FieldError, OrderRequest, instrument_problems
from gateway.orders.states import TERMINAL, LegState
from gateway.orders.times import rfc3339, to_us
from gateway.secrets.api_keys import Scope
from gateway.store import OrderFilter, Store

_MAX_KEY = 255
_MAX_PAGE = 500
_CANCEL_WAIT_S = 3.0
_MODIFY_WAIT_S = 15.0
_decode_order = msgspec.json.Decoder(OrderRequest)
_decode_modify = msgspec.json.Decoder(ModifyRequest)


class OrderRoutes:
    """Handlers over the order service; they hold no rule of their own."""

    def __init__(
        self,
        service: OrderService,
        store: Store,
        accounts: Mapping[str, Account],
        on_repeat: Callable[[], None],
    ) -> None:
        self._service = service
        self._on_repeat = on_repeat
        self._accounts = accounts
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/orders",
                scope=Scope.TRADE,
                handler=self.place,
                summary="Place one order at every account named",
                tag="orders",
                request=OrderRequest,
                response=OrderView,
                statuses=(200, 201, 202),
                needs_key=True,
            ),
            Route(
                method="GET",
                path="/v1/orders",
                scope=Scope.READ,
                handler=self.list_orders,
                summary="List orders, newest first",
                tag="orders",
                response=OrderList,
                query={
                    "account": "only orders with a leg at this account",
                    "state": "leg state, or several separated by commas",
                    "open": "true: not all legs terminal; false: the others",
                    "strategy": "the client's own strategy name",
                    "instrument": "EXCHANGE:SYMBOL",
                    "from": "placed at or after, RFC 3339 with offset",
                    "to": "placed before, RFC 3339 with offset",
                    "idempotency_key": "the key an order, or its basket, was placed with",
                    "mine": "true: only what this API client placed, as keys belong to a client",
                    "limit": f"1 to {_MAX_PAGE}, default 100",
                    "cursor": "next_cursor of the page before",
                },
            ),
            Route(
                method="GET",
                path="/v1/orders/{order_id}",
                scope=Scope.READ,
                handler=self.get,
                summary="The current state of an order and its legs",
                tag="orders",
                response=OrderView,
            ),
            Route(
                method="GET",
                path="/v1/orders/{order_id}/history",
                scope=Scope.READ,
                handler=self.history,
                summary="Every transition, attempt and broker word, oldest first",
                tag="orders",
                response=History,
            ),
            Route(
                method="PATCH",
                path="/v1/orders/{order_id}",
                scope=Scope.TRADE,
                handler=self.modify,
                summary="Modify every live leg, or one account's",
                tag="orders",
                request=ModifyRequest,
                response=ModifiedOrder,
                query={"account": "only the leg at this account"},
            ),
            Route(
                method="DELETE",
                path="/v1/orders/{order_id}",
                scope=Scope.TRADE,
                handler=self.cancel,
                summary="Cancel every leg that is not terminal",
                tag="orders",
                response=OrderView,
                statuses=(200, 202),
                query={"account": "only the leg at this account"},
            ),
        ]

    async def place(self, call: Call) -> Answer:
        key = idempotency_key(call)
        request: OrderRequest = call.decode(_decode_order, "invalid_order")
        live, replayed = await self._service.place(call.who, key, request)
        if not replayed:
            await self._service.wait(live, request.wait_for, request.wait_ms / 1000)
        answer = self._answer(call, live)
        answer.status = order_status(answer.body)
        if replayed:
            self._on_repeat()
            answer.headers.append((b"Idempotency-Replayed", b"true"))
        return answer

    async def get(self, call: Call) -> Answer:
        return self._answer(call, await self._find(call))

    async def list_orders(self, call: Call) -> Answer:
        wanted = _filter_of(call)
        await self._assert_accounts(call)
        found = await self._store.search_orders(wanted)
        orders = [
            order_view(LiveOrder(order, legs, self._store), call.who.allows)
            for _, order, legs in found
        ]
        more = len(found) == wanted.limit
        return Answer(
            body=OrderList(orders=orders, next_cursor=_cursor(found[-1][0]) if more else None)
        )

    async def _assert_accounts(self, call: Call) -> None:
        """Refuse an account that is not known; one that is gone but has orders is known."""
        for name in filter(None, call.query.get("account", "").split(",")):
            if call.who.allows(name):
                gone = OrderFilter(accounts=frozenset({name}), limit=1)
                if name in self._accounts or await self._store.search_orders(gone):
                    continue
            known = ", ".join(sorted(filter(call.who.allows, self._accounts))) or "none"
            raise wrong_field("account", f"{name!r} is not known; known are {known}")

    async def history(self, call: Call) -> Answer:
        live = await self._find(call)
        records = [leg.record for leg in live.legs]
        hidden = hidden_of(live.order.request, records, call.who.allows)
        visible = {leg.record.leg_id for leg in live.legs if call.who.allows(leg.record.account)}
        events = []
        for at_us, body in await self._store.leg_history(live.order.order_id):
            row = without(msgspec.json.decode(body), hidden)
            if row["leg_id"] in visible:
                row["at"] = rfc3339(at_us)
                events.append(msgspec.convert(row, HistoryEvent))
        return Answer(body=History(order_id=live.order.order_id, events=events))

    async def modify(self, call: Call) -> Answer:
        live = await self._find(call)
        request: ModifyRequest = call.decode(_decode_modify, "invalid_order")
        accounts = self._targets(call, live)
        changes = changes_of(request, live, accounts)
        outcome = await self._service.modify(live, changes, _MODIFY_WAIT_S, call.who.key_id)
        view = order_view(live, call.who.allows)
        legs = []
        for leg in view.legs:
            done = outcome.get(leg.leg_id)
            legs.append(
                ModifiedLeg(
                    **msgspec.structs.asdict(leg),
                    modify=done.outcome if done else None,
                    modify_reason=done.reason if done else None,
                )
            )
        body = ModifiedOrder(**{**msgspec.structs.asdict(view), "legs": legs})
        return Answer(body=body, headers=[(b"Server-Timing", server_timing(view))])

    async def cancel(self, call: Call) -> Answer:
        live = await self._find(call)
        targets = self._targets(call, live)
        account = call.query.get("account")
        await self._service.cancel(live, account, _CANCEL_WAIT_S)
        answer = self._answer(call, live)
        legs = [leg for leg in live.legs if leg.record.account in targets]
        settled = all(leg.state in TERMINAL for leg in legs)
        answer.status = 200 if settled else 202
        return answer

    async def _find(self, call: Call) -> LiveOrder:
        order_id = call.params["order_id"]
        live = await self._service.find(order_id)
        if live is None or not any(call.who.allows(leg.record.account) for leg in live.legs):
            raise Problem(404, "order_unknown", f"there is no order {order_id}")
        return live

    def _targets(self, call: Call, live: LiveOrder) -> list[str]:
        """The accounts of the order's legs that the call is about, all of them the caller's."""
        account = call.query.get("account")
        targets = [leg.record.account for leg in live.legs if account in (None, leg.record.account)]
        hidden = [name for name in targets if not call.who.allows(name)]
        if hidden and account is None:
            raise Problem(
                403,
                "account_not_allowed",
                "this order has legs at accounts that the key may not touch; name one with"
                " ?account=",
            )
        if hidden or not targets:
            raise Problem(404, "account_unknown", f"no leg of this order is at {account}")
        return targets

    def _answer(self, call: Call, live: LiveOrder) -> Answer:
        view = order_view(live, call.who.allows)
        return Answer(body=view, headers=[(b"Server-Timing", server_timing(view))])


def idempotency_key(call: Call) -> str:
    """Return the request's key, or raise the `Problem` that says what is wrong with it."""
    key = call.headers.get("idempotency-key", "")
    if not key:
        raise Problem(
            400,
            "idempotency_key_missing",
            "the header Idempotency-Key is required: one new value per order you mean, the same"
            " value when you repeat a request",
            errors=[FieldError("Idempotency-Key", "is required")],
        )
    if len(key) > _MAX_KEY or not key.isascii() or not key.isprintable():
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"the header Idempotency-Key must be 1 to {_MAX_KEY} printable ASCII characters",
            errors=[FieldError("Idempotency-Key", f"1 to {_MAX_KEY} printable characters")],
        )
    return key


def _filter_of(call: Call) -> OrderFilter:
    """Read the list's query, or raise the `Problem` that names each wrong parameter."""
    query, errors = call.query, list[FieldError]()
    accounts = call.who.accounts
    if "account" in query:
        wanted = frozenset(query["account"].split(","))
        accounts = wanted if accounts is None else wanted & accounts
    if "instrument" in query:
        errors.extend(instrument_problems(query["instrument"]))
    states = frozenset(filter(None, query.get("state", "").split(",")))
    unknown = states - frozenset(LegState)
    if unknown:
        states_known = ", ".join(LegState)
        message = f"has no {', '.join(sorted(unknown))}; there are {states_known}"
        errors.append(FieldError("state", message))
    is_open = {"true": True, "false": False, None: None}.get(query.get("open"), "bad")
    if is_open == "bad":
        errors.append(FieldError("open", "must be true or false"))
    if query.get("mine", "true") not in ("true", "false"):
        errors.append(FieldError("mine", "must be true or false"))
    limit = query.get("limit", "100")
    if not limit.isdigit() or not 1 <= int(limit) <= _MAX_PAGE:
        errors.append(FieldError("limit", f"must be 1 to {_MAX_PAGE}"))
    from_us = _time(query, "from", errors)
    to_us = _time(query, "to", errors)
    before = _read_cursor(query.get("cursor"), errors)
    if errors:
        text = "; ".join(f"{error.field} {error.message}" for error in errors)
        raise Problem(422, "invalid_request", text, errors=errors)
    return OrderFilter(
        accounts=accounts,
        states=states,
        open=is_open if isinstance(is_open, bool) else None,
        strategy=query.get("strategy"),
        instrument=query.get("instrument"),
        client=call.who.client if query.get("mine") == "true" else None,
        idempotency_key=query.get("idempotency_key"),
        from_us=from_us,
        to_us=to_us,
        before_seq=before,
        limit=int(limit),
    )


def _time(query: dict[str, str], name: str, errors: list[FieldError]) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        # A plus sign that the client did not escape arrives as a space.
        return to_us(datetime.fromisoformat(text.replace(" ", "+")))
    except ValueError:
        errors.append(
            FieldError(name, "must be RFC 3339 with an offset, such as 2026-11-22T09:15:00+05:30")
        )
        return None


def _cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(f"o{seq}".encode()).decode().rstrip("=")


def _read_cursor(text: str | None, errors: list[FieldError]) -> int | None:
    if text is None:
        return None
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        if plain[:1] == "o" and plain[1:].isdigit():
            return int(plain[1:])
    except (binascii.Error, UnicodeDecodeError, ValueError):
        pass
    errors.append(FieldError("cursor", "is not a next_cursor of this list; start without it"))
    return None
