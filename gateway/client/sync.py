"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar, Unpack

from gateway.client import books, calls, models, operating, steps
from gateway.client.base import Base
from gateway.client.books import Read
from gateway.client.calls import OrderFields, Price, Request
from gateway.client.event import Event, Parser
from gateway.client.models import Basket, Closed, ModifiedOrder, Order
from gateway.client.steps import Reply, Send, Steps
from gateway.client.streaming import Pauses, event_request, refused
from gateway.client.wire import Place, Wire

T = TypeVar("T")
__all__ = ["Client"]


class Client(Base):
    """A gateway, called with an API key. Threads may share it.

    Every call raises one of `GatewayError`'s four kinds, which say what to do next
    (`gateway.client.errors`). Prices are `Decimal`, or text; a float is refused.

    `ca` and `certificate` are for TLS, see `Place`. `policy` says how long to repeat and wait.
    """

    def _connect(self, place: Place) -> None:
        self._wire = Wire(place)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Orders go on."""
        self._wire.close()

    def place(
        self, *, key: str | None = None, wait_s: float | None = None, **order: Unpack[OrderFields]
    ) -> Order:
        """Place one order at every account named, and follow it until it is not pending.

        `key` is the idempotency key, made here where none is given. Give one of your own that
        you stored before, and the order survives a crash of your program too. The order is
        returned where at least one leg was accepted: look at `failed` for the others.

        Raises:
            LookFirst: it may be placed; `error.idempotency_key` finds it. Never place it anew.
            LogIn, RetryLater, FixRequest: no leg was accepted, nothing is at a broker.
        """
        request = calls.place(order, key or calls.new_key())
        return self._run(steps.placing(request, self._policy, time.monotonic, wait_s))

    def find_order(self, key: str) -> Order | None:
        """Return the order of an idempotency key as it is now; None where there is none."""
        page = self._send(calls.of_key(key))
        return page.orders[0] if page.orders else None

    def wait(self, order: Order, *, wait_s: float | None = None) -> Order:
        """Ask for an order until it is not pending. Raises `LookFirst` where it stays so."""
        return self._run(steps.settling(order, self._policy, time.monotonic, wait_s, None))

    def order(self, order_id: str) -> Order:
        return self._send(calls.order(order_id))

    def orders(
        self,
        *,
        account: str | Sequence[str] | None = None,
        state: str | Sequence[str] | None = None,
        open: bool | None = None,
        strategy: str | None = None,
        instrument: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[Order]:
        """Return up to `limit` orders, newest first, as many pages as that takes."""
        query = calls.texts(
            {
                "account": account,
                "state": state,
                "open": open,
                "strategy": strategy,
                "instrument": instrument,
                "from": since,
                "to": until,
            }
        )
        return self._run(steps.paging(query, limit, self._policy, time.monotonic))

    def history(self, order_id: str) -> models.History:
        """Return every transition, attempt and word of the broker, oldest first."""
        return self._send(calls.history(order_id))

    def modify(
        self,
        order_id: str,
        *,
        account: str | None = None,
        quantity: int | None = None,
        quantities: dict[str, int] | None = None,
        price: Price | None = None,
        trigger_price: Price | None = None,
        order_type: str | None = None,
    ) -> ModifiedOrder:
        """Change what is named, once. `quantity` is the new total, what is filled included.

        Raises:
            LookFirst: it may be applied; read the order.
            FixRequest: no leg was changed.
        """
        request = calls.modify(
            order_id,
            account,
            quantity=quantity,
            quantities=quantities,
            price=price,
            trigger_price=trigger_price,
            order_type=order_type,
        )
        return self._run(steps.modifying(request, self._policy, time.monotonic))

    def cancel(
        self, order_id: str, *, account: str | None = None, wait_s: float | None = None
    ) -> Order:
        """Cancel every leg that is not final, and wait until they are. A leg may be filled first:
        read `state`. Raises `LookFirst` where one is not final in time.
        """
        request = calls.cancel(order_id, account)
        return self._run(steps.cancelling(request, account, self._policy, time.monotonic, wait_s))

    def cancel_all(
        self,
        *,
        accounts: Sequence[str] | None = None,
        instrument: str | None = None,
        strategy: str | None = None,
        include: str = "ours",
    ) -> models.CancelledAll:
        """Cancel many. Repeat while `done` is false; `include="all"` takes others' orders too."""
        request = calls.cancel_all(
            accounts=accounts, instrument=instrument, strategy=strategy, include=include
        )
        return self._send(request)

    def validate(self, **order: Unpack[OrderFields]) -> models.Trial:
        """Run every check of an order. Nothing is sent or kept."""
        return self._send(calls.validate(order))

    def basket(
        self,
        orders: Iterable[OrderFields],
        *,
        sequence: str = "parallel",
        stop_on: str = "never",
        key: str | None = None,
    ) -> Basket:
        """Place up to 50 orders under one key. While `is_pending`: `wait` for its orders, or call
        again with the same key.
        """
        request = calls.basket(orders, key or calls.new_key(), sequence, stop_on)
        return self._send(request)

    def close_positions(
        self,
        *,
        accounts: Sequence[str] | None = None,
        instrument: str | None = None,
        product: str | None = None,
        strategy: str | None = None,
        percent: Decimal | int | None = None,
        key: str | None = None,
    ) -> Closed:
        """Close what is held: MIS and NRML unless a product is named. While not `done`, the same
        call with the same key shows how it goes on.
        """
        request = calls.close(
            key or calls.new_key(),
            accounts=accounts,
            instrument=instrument,
            product=product,
            strategy=strategy,
            percent=percent,
        )
        return self._send(request)

    def unresolved(self) -> list[models.UnresolvedLeg]:
        """Return the legs whose fate is not proven, oldest first."""
        return self._send(calls.unresolved()).unresolved

    def resolve(
        self, leg_id: str, action: str, *, reason: str, broker_order_id: str | None = None
    ) -> Order:
        """Settle a leg by a person's word: `adopt` with the broker's order id, or `absent`."""
        return self._send(calls.resolve(leg_id, action, reason, broker_order_id))

    def orderbook(
        self, accounts: Sequence[str] | None = None, *, day: date | None = None
    ) -> Read[list[books.BookOrder]]:
        """Read the brokers' order books, now or as kept of an earlier day."""
        kind = Read[list[books.BookOrder]]
        return self._send(calls.read("orderbook", kind, accounts=accounts, date=day))

    def trades(
        self, accounts: Sequence[str] | None = None, *, day: date | None = None
    ) -> Read[list[books.Trade]]:
        kind = Read[list[books.Trade]]
        return self._send(calls.read("trades", kind, accounts=accounts, date=day))

    def positions(self, accounts: Sequence[str] | None = None) -> Read[list[books.Position]]:
        return self._send(calls.read("positions", Read[list[books.Position]], accounts=accounts))

    def holdings(self, accounts: Sequence[str] | None = None) -> Read[list[books.Holding]]:
        return self._send(calls.read("holdings", Read[list[books.Holding]], accounts=accounts))

    def funds(self, accounts: Sequence[str] | None = None) -> Read[books.Funds]:
        return self._send(calls.read("funds", Read[books.Funds], accounts=accounts))

    def margins(
        self, orders: Iterable[OrderFields], *, accounts: Sequence[str] | None = None
    ) -> Read[books.Margin]:
        """Ask what orders would need, together and in this order."""
        return self._send(calls.margins(orders, accounts))

    def quotes(self, instruments: Sequence[str], *, account: str | None = None) -> books.Quotes:
        """Return a quote or an error for each of up to 200 instruments."""
        return self._send(
            calls.read("quotes", books.Quotes, instruments=list(instruments), account=account)
        )

    def depth(self, instrument: str, *, account: str | None = None) -> books.Depth:
        return self._send(calls.read("depth", books.Depth, instrument=instrument, account=account))

    def candles(
        self,
        instrument: str,
        interval: str,
        since: date | datetime,
        until: date | datetime | None = None,
        *,
        account: str | None = None,
    ) -> books.Candles:
        """Return the candles that begin in a range of days (IST) or of aware times."""
        return self._send(calls.candles(instrument, interval, since, until, account))

    def instrument(self, instrument: str) -> books.Instrument:
        return self._send(calls.instrument(instrument))

    def search(self, query: str | None = None, **narrowing: Any) -> list[books.Instrument]:
        """Search contracts by `exchange`, `type`, `underlying`, `expiry`, `strike`,
        `option_type` and `limit`.
        """
        request = calls.read("instruments", books.InstrumentList, query=query, **narrowing)
        return self._send(request).instruments

    def expiries(
        self, underlying: str, *, type: str | None = None, exchange: str | None = None
    ) -> list[books.Expiry]:
        request = calls.read(
            "expiries", books.ExpiryList, underlying=underlying, type=type, exchange=exchange
        )
        return self._send(request).expiries

    def accounts(self) -> list[operating.Account]:
        return self._send(calls.read("accounts", operating.AccountList)).accounts

    def sessions(self) -> list[operating.Session]:
        return self._send(calls.read("sessions", operating.SessionList)).sessions

    def login(self, account: str, *, renew: bool = False) -> operating.LoginStep:
        """Begin a login, once: repeated wrong tries lock accounts."""
        return self._send(calls.login_step(account, "login", {"renew": renew}))

    def submit_otp(self, account: str, challenge_id: str, otp: str) -> operating.LoginStep:
        body = {"challenge_id": challenge_id, "otp": otp}
        return self._send(calls.login_step(account, "otp", body))

    def resend_otp(self, account: str, challenge_id: str | None = None) -> operating.LoginStep:
        body = calls.given({"challenge_id": challenge_id})
        return self._send(calls.login_step(account, "otp/resend", body))

    def submit_redirect(self, account: str, url: str) -> operating.LoginStep:
        """Hand in the address that a login page ended on."""
        return self._send(calls.login_step(account, "callback", {"url": url}))

    def confirm_redirect(self, account: str) -> operating.LoginStep:
        """Say that a parked redirect was yours."""
        return self._send(calls.login_step(account, "confirm", {}))

    def logout(self, account: str) -> operating.Session:
        return self._send(calls.logout(account))

    def kill_switch(self) -> operating.KillSwitch:
        return self._send(calls.read("kill-switch", operating.KillSwitch))

    def kill(
        self,
        level: str = "HALT_NEW",
        *,
        reason: str,
        scope: str = "global",
        target: str | None = None,
    ) -> operating.Engaged:
        """Stop: REDUCE_ONLY, HALT_NEW, CANCEL_ALL or SQUARE_OFF."""
        return self._send(calls.engage(level, reason, scope, target))

    def release(
        self, *, reason: str, scope: str = "global", target: str | None = None
    ) -> operating.KillSwitch:
        """Let orders through again. Find out why it stopped first."""
        return self._send(calls.release(reason, scope, target))

    def events(
        self,
        *,
        after: int | None = None,
        account: str | None = None,
        strategy: str | None = None,
        types: Sequence[str] | None = None,
        patience_s: float | None = None,
    ) -> Generator[Event, None, None]:
        """Yield what happens, across breaks and restarts of the gateway, each event once.

        Store `event.seq` once you have dealt with it, and give it as `after` the next time. An
        unreachable gateway is waited for, at most `patience_s` where that is given. Leave it by
        `contextlib.closing`, which closes the connection too.

        Raises: `RetryLater` when patience is over, `FixRequest` for what is refused.
        """
        request = event_request(account, strategy, types)
        parser, pauses = Parser(after), Pauses(self._policy, time.monotonic, patience_s)
        while True:
            parser.restart()
            try:
                with self._wire.stream(request, parser.place) as opened:
                    if isinstance(opened, Reply):
                        pauses.after_error(refused(request, opened))
                    else:
                        for piece in opened:
                            yield from parser.feed(piece)
                            pauses.reset()
            except OSError as error:
                pauses.after_break(error)
            time.sleep(pauses.next_s())

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        key: str | None = None,
        timeout_s: float = 30.0,
    ) -> Any:
        """Make any other call; return its JSON, or its text. Only a GET, or one with a `key`, is
        repeated.
        """
        return self._send(calls.any_call(method, path, body, query, key, timeout_s))

    def _send(self, request: Request[T]) -> T:
        return self._run(steps.exchange(request, self._policy, time.monotonic))

    def _run(self, course: Steps[T]) -> T:
        answer: steps.Answer | None = None
        while True:
            try:
                step = course.send(answer)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Send):
                answer = self._wire.send(step.request)
            else:
                time.sleep(step.seconds)
                answer = None
