"""Fyers in our words: the standard adapter on top of the raw client."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from adapters.fyers import parse
from adapters.fyers.client import FyersClient, app_id_hash, authcode_url
from adapters.fyers.config import (
    CAPABILITIES,
    LOGIN_LIFETIME_S,
    MASTER_FILES,
    MASTER_MAX_BYTES,
    MASTER_TIMEOUT_S,
)
from adapters.fyers.constants import INTERVAL_TO_WIRE, IST
from adapters.fyers.envelope import Envelope, require_read
from adapters.fyers.history import spans
from adapters.fyers.login import auth_code, session_end
from adapters.fyers.master import check_is_whole, read_master
from adapters.fyers.orders import (
    change_body,
    check_margin,
    check_modify,
    check_order,
    margin_body,
    order_body,
)
from adapters.fyers.parse_account import parse_positions, parse_trade_book
from adapters.fyers.parse_market import parse_candles, parse_depth
from adapters.fyers.parse_portfolio import parse_funds, parse_holdings, parse_margin
from adapters.fyers.quoting import Quoting
from adapters.fyers.unrecognised import Unrecognised
from adapters.sdk.base import BaseAdapter
from adapters.sdk.errors import (
    BadAnswer,
    Denied,
    LoginExpired,
    LoginRefused,
    ReasonCode,
)
from adapters.sdk.interface import AdapterContext, Capabilities, SendGate
from adapters.sdk.models import (
    BrokerDepth,
    BrokerFunds,
    BrokerHolding,
    BrokerMargin,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    CancelRequested,
    Candle,
    Instrument,
    Interval,
    LoginStep,
    MarginOrder,
    Modified,
    ModifyOrder,
    OrderRef,
    Placed,
    PlaceOrder,
    RedirectRequired,
    Session,
)
from adapters.sdk.rowcache import RowCache

_APP_ID = "app_id"


class FyersAdapter(BaseAdapter):
    """One Fyers account. Implements `adapters.sdk.interface.Adapter`."""

    title = "Fyers"

    def __init__(self, context: AdapterContext) -> None:
        self._context = context
        self._client = FyersClient(context)
        self._quoting = Quoting(self._client)
        self._unrecognised = Unrecognised(context.account)
        self._book: RowCache[BrokerOrder] = RowCache()

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        """Name the login page that the owner must open; nothing is sent (dossier 3.1)."""
        state = secrets.token_urlsafe(24)
        url = authcode_url(
            self._context.base_urls["login"],
            app_id=_credential(credentials, _APP_ID),
            redirect_uri=_credential(credentials, "redirect_uri"),
            state=state,
        )
        return RedirectRequired(
            login_url=url,
            state=state,
            expires_at=datetime.now(IST) + timedelta(seconds=LOGIN_LIFETIME_S),
            pending={"state": state},
        )

    async def submit_redirect(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], url: str
    ) -> LoginStep:
        """Exchange the code of the redirect for a token and prove whose it is.

        Raises `LoginRefused`: with `restart` unset where the URL is not the answer to this
        login (the right one may still come), set where Fyers refused or the code is spent.
        """
        app_id = _credential(credentials, _APP_ID)
        code = auth_code(url, pending.get("state", ""))
        secret_key = _credential(credentials, "secret_key")
        try:
            token = parse.parse_access_token(
                await self._client.post_validate_authcode(
                    app_id_hash=app_id_hash(app_id, secret_key), code=code
                )
            )
            client_id = parse.parse_client_code(await self._client.get_profile(f"{app_id}:{token}"))
        except LoginExpired as error:
            raise LoginRefused(
                "Fyers does not take this login",
                restart=True,
                reason=ReasonCode.BROKER_REJECTED,
                broker_code=error.broker_code,
                broker_message=error.broker_message,
            ) from error
        expected = credentials.get("client_id", "").strip()
        if expected and expected.casefold() != client_id.casefold():
            raise LoginRefused(
                "the login belongs to another client code than the configured one", restart=True
            )
        now = datetime.now(IST)
        return Session(
            token=token,
            client_id=client_id,
            logged_in_at=now,
            expires_at=session_end(token, now),
            extra={_APP_ID: app_id},
        )

    async def prove_session(self, session: Session) -> str:
        """Read the profile and return its client code."""
        return parse.parse_client_code(await self._client.get_profile(_authorization(session)))

    async def logout(self, session: Session) -> None:
        """Revoke the token; one that is dead already counts as revoked (dossier 3.1 step 7)."""
        try:
            require_read(await self._client.post_logout(_authorization(session)))
        except LoginExpired:
            return

    async def warm(self, session: Session) -> None:
        """Have a proven connection stand ready; no request is sent."""
        await self._client.warm()

    def is_warm(self) -> bool:
        return self._client.is_warm()

    def check_order(self, order: PlaceOrder) -> None:
        """Raise `Denied` for what Fyers or this adapter cannot take."""
        check_order(order)

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        """Send one order, once. `s: ok` is acceptance only: the book has the last word."""
        check_order(order)
        return parse.parse_placed(
            await self._client.post_orders_sync(_authorization(session), order_body(order), gate)
        )

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        """Ask for a cancel, once."""
        envelope = await self._client.delete_order_sync(
            _authorization(session), ref.broker_order_id, gate
        )
        return parse.parse_cancel_requested(envelope, ref.broker_order_id)

    def check_modify(self, change: ModifyOrder) -> None:
        """Raise `Denied` for a change that Fyers or this adapter cannot take."""
        check_modify(change)

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        """Ask for a change, once. `s: ok` is acceptance only: the book has the last word."""
        check_modify(change)
        envelope = await self._client.patch_orders_sync(
            _authorization(session), change_body(change), gate
        )
        return parse.parse_modified(envelope, change.broker_order_id)

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the day's whole book."""
        envelope = await self._client.get_orders(_authorization(session))
        return parse.parse_order_book(envelope, self._unrecognised, self._book)

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        """Read one order. Rows that Fyers might give beside it are passed over."""
        envelope = await self._client.get_orders(
            _authorization(session), order_id=ref.broker_order_id
        )
        if parse.is_unknown_order(envelope):
            return None
        rows = self._orders(envelope)
        return next((row for row in rows if row.broker_order_id == ref.broker_order_id), None)

    async def find_by_tag(self, session: Session, broker_tag: int) -> list[BrokerOrder]:
        """Read the orders that carry a tag.

        Where the query finds none, the whole book is read too, since nothing says that the
        query sees an order as soon as the book does (dossier 5.6, 14.18).
        """
        envelope = await self._client.get_orders(
            _authorization(session), order_tag=f"1:{broker_tag}"
        )
        found = _with_tag(self._orders(envelope), broker_tag)
        return found or _with_tag(await self.order_book(session), broker_tag)

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        """Read every fill of the day."""
        envelope = await self._client.get_tradebook(_authorization(session))
        return parse_trade_book(envelope, self._unrecognised)

    async def positions(self, session: Session) -> list[BrokerPosition]:
        """Read the net positions, closed ones of the day included."""
        envelope = await self._client.get_positions(_authorization(session))
        return parse_positions(envelope, self._unrecognised)

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Read prices, fifty symbols a call; one bad symbol does not cost the others theirs."""
        names = {
            symbol: instrument.instrument
            for instrument in instruments
            if (symbol := instrument.codes.get("symbol"))
        }
        return await self._quoting.read(_authorization(session), names) if names else {}

    async def depth(self, session: Session, instrument: Instrument) -> BrokerDepth | None:
        """Read the five best prices of both sides."""
        symbol = _symbol(instrument)
        envelope = await self._client.get_depth(_authorization(session), symbol)
        return parse_depth(envelope, symbol, instrument.instrument, datetime.now(IST))

    async def candles(
        self,
        session: Session,
        instrument: Instrument,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> list[Candle]:
        """Read candles; a commodity's long days may take a few calls, one after the other."""
        symbol = _symbol(instrument)
        found: list[Candle] = []
        for span in spans(instrument.exchange, interval, start, end, datetime.now(IST)):
            envelope = await self._client.get_history(
                _authorization(session),
                symbol,
                resolution=INTERVAL_TO_WIRE[interval],
                range_from=span.range_from,
                range_to=span.range_to,
                with_open_interest=instrument.is_derivative,
            )
            found += parse_candles(
                envelope,
                start,
                end,
                daily=interval is Interval.D1,
                derivative=instrument.is_derivative,
            )
        return found

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        """Read the shares that the account owns."""
        return parse_holdings(await self._client.get_holdings(_authorization(session)))

    async def funds(self, session: Session) -> BrokerFunds:
        """Read the equity ledger."""
        return parse_funds(await self._client.get_funds(_authorization(session)))

    async def margins(self, session: Session, orders: Sequence[MarginOrder]) -> BrokerMargin:
        """Ask Fyers' calculator, the orders in the sequence given: a hedge counts from there on."""
        if not orders:
            raise Denied("a margin is of one order at least", reason=ReasonCode.INVALID_ORDER)
        for order in orders:
            check_margin(order)
        envelope = await self._client.post_multiorder_margin(
            _authorization(session), [margin_body(order) for order in orders]
        )
        return parse_margin(envelope, len(orders))

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Fetch the symbol master files. They need no login."""
        paths = []
        for name in MASTER_FILES:
            path = folder / name
            await self._client.download_master(
                name, path, timeout_s=MASTER_TIMEOUT_S, max_bytes=MASTER_MAX_BYTES
            )
            try:
                check_is_whole(path)
            except ValueError as error:
                raise BadAnswer(f"Fyers' instrument file {error}") from error
            paths.append(path)
        return paths

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        """Parse downloaded files row by row."""
        return read_master(files)

    def _orders(self, envelope: Envelope) -> list[BrokerOrder]:
        return parse.parse_order_book(envelope, self._unrecognised)


def _with_tag(rows: list[BrokerOrder], broker_tag: int) -> list[BrokerOrder]:
    return [row for row in rows if row.broker_tag == broker_tag]


def _symbol(instrument: Instrument) -> str:
    symbol = instrument.codes.get("symbol")
    if not symbol:
        raise Denied(
            f"{instrument.instrument} has no Fyers symbol", reason=ReasonCode.INSTRUMENT_UNKNOWN
        )
    return symbol


def _authorization(session: Session) -> str:
    app_id = session.extra.get(_APP_ID)
    if not app_id:
        raise LoginExpired("this session does not say for which app it is", created_nothing=True)
    return f"{app_id}:{session.token}"


def _credential(credentials: Mapping[str, str], name: str) -> str:
    value = credentials.get(name, "").strip()
    if not value:
        raise LoginRefused(f"the credential {name} is missing", restart=True)
    return value
