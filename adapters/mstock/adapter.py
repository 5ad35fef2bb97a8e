"""The m.Stock adapter: one account at m.Stock, in the gateway's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

from adapters.mstock import margins, market, orders, parse, portfolio, rows
from adapters.mstock.book import OrderBook
from adapters.mstock.client import Auth, MstockClient
from adapters.mstock.config import (
    CAPABILITIES,
    MASTER_MAX_BYTES,
    MASTER_TIMEOUT_S,
    QUOTE_BATCH,
    QUOTE_SPLITS,
    STOP_SPELLING,
    StopSpelling,
)
from adapters.mstock.constants import INTRADAY_EXCHANGE, IST
from adapters.mstock.envelope import decode_envelope, read_error
from adapters.mstock.login import Login
from adapters.mstock.master import read_master
from adapters.mstock.values import Row
from adapters.sdk.base import BaseAdapter
from adapters.sdk.errors import BadAnswer, Denied, LoginExpired, ReasonCode, Refused
from adapters.sdk.interface import AdapterContext, Capabilities, SendGate
from adapters.sdk.models import (
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
    OtpRequired,
    Placed,
    PlaceOrder,
    Session,
)

_MASTER_FILE = "OpenAPIScripMaster.json"
# What today's daily candle is added up of: few rows, and no doubt about their labels.
_DAY_PARTS = Interval.M30
_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


class MstockAdapter(BaseAdapter):
    """One account at m.Stock, Trading API Type B (see `adapters.sdk.interface.Adapter`).

    Fills and average prices come from the trade book, because the order book's own are not to
    be believed (dossier 5.5): a read of orders that may have fills is two calls, and fails as a
    whole when either fails.
    """

    title = "m.Stock"

    def __init__(
        self,
        context: AdapterContext,
        *,
        stop_spelling: StopSpelling = STOP_SPELLING,
        clock: Callable[[], datetime] = lambda: datetime.now(IST),
    ) -> None:
        self._client = MstockClient(context)
        self._login = Login(self._client, context.login)
        self._stop_spelling = stop_spelling
        self._clock = clock
        self._book = OrderBook()

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def close(self) -> None:
        """Close every connection. The adapter is not used again."""
        await self._client.close()

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        """Send client code and password, and with a stored TOTP secret the code too."""
        return await self._login.begin(credentials)

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        """Send the OTP or the TOTP code that the owner read."""
        return await self._login.answer(credentials, pending, otp)

    async def resend_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str]
    ) -> OtpRequired:
        """Begin again at the password, which is m.Stock's only way to another OTP."""
        return await self._login.again(credentials)

    async def prove_session(self, session: Session) -> str:
        """Read the fund summary. It names no client: the login itself proved the code."""
        await self._fund_rows(session)
        return session.client_id

    async def logout(self, session: Session) -> None:
        """End the session at m.Stock; one that is already dead there is ended too."""
        envelope = await self._client.get_logout(_auth(session))
        if not envelope.proves_success:
            error = read_error(envelope)
            if not isinstance(error, LoginExpired):
                raise error

    async def warm(self, session: Session) -> None:
        """Make sure that a connection for orders stands ready, sending nothing."""
        await self._client.warm()

    def is_warm(self) -> bool:
        """Whether an order could go out now on a connection that was proven seconds ago."""
        return self._client.is_warm()

    def check_order(self, order: PlaceOrder) -> None:
        """Raise `Denied` for an order that m.Stock or this adapter cannot take. No I/O."""
        orders.check(order)

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        """Send one order, once, with the tag as `ordertag`."""
        orders.check(order)
        fields = orders.place_fields(order, self._stop_spelling)
        return parse.placed(await self._client.post_orders_regular(_auth(session), fields, gate))

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        """Ask for a cancel, once, under the variety that the order was placed with."""
        envelope = await self._client.delete_orders_regular(
            _auth(session), orderid=ref.broker_order_id, variety=orders.variety(ref), gate=gate
        )
        return parse.cancel_requested(envelope, ref.broker_order_id)

    def check_modify(self, change: ModifyOrder) -> None:
        """Raise `Denied` for a change that m.Stock or this adapter cannot take. No I/O."""
        orders.check_modify(change)

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        """Ask for a change, once. m.Stock takes the whole order anew, not the difference."""
        orders.check_modify(change)
        fields = orders.modify_fields(change, self._stop_spelling)
        envelope = await self._client.put_orders_regular(_auth(session), fields, gate)
        return parse.modified(envelope, change.broker_order_id)

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the order book, and the trade book with it where any order may have fills."""
        auth = _auth(session)
        book = self._book.read(rows.list_of(await self._client.get_orders(auth)))
        return book.orders(await self._fills(auth) if book.may_have_fills else {})

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        """Read one order's details, the only answer that may bring the tag back."""
        auth = _auth(session)
        answer = await self._client.post_order_details(
            auth, order_no=ref.broker_order_id, segment=orders.segment(ref)
        )
        row = parse.details_row(rows.ORDERS.read(answer), ref.broker_order_id)
        if row is None:
            return None
        fills = await self._fills(auth) if parse.may_have_fills(row) else {}
        return parse.order(row, ref.broker_order_id, fills.get(ref.broker_order_id, parse.NO_FILLS))

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        """Read every fill of the day."""
        return portfolio.trades(rows.TRADES.read(await self._client.get_tradebook(_auth(session))))

    async def positions(self, session: Session) -> list[BrokerPosition]:
        """Read the net positions, one per contract and product."""
        answer = await self._client.get_portfolio_positions(_auth(session))
        return portfolio.positions(rows.POSITIONS.read(answer))

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        """Read the holdings; rows that stand for no share are left out."""
        answer = await self._client.get_portfolio_holdings(_auth(session))
        return portfolio.holdings(rows.list_of(answer))

    async def funds(self, session: Session) -> BrokerFunds:
        """Read the fund summary."""
        return portfolio.funds(await self._fund_rows(session))

    async def margins(self, session: Session, orders: Sequence[MarginOrder]) -> BrokerMargin:
        """Ask the calculator; market orders are asked with the last price, read first.

        Raises `Refused` where m.Stock finds the question itself wrong.
        """
        auth = _auth(session)
        margins.check(orders)
        unpriced = margins.without_price(orders)
        prices = market.last_prices(await self.quotes(session, unpriced)) if unpriced else {}
        answer = await self._client.post_margins_orders(auth, margins.request(orders, prices))
        return margins.margin(answer, len(orders))

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Read prices by canonical id; what m.Stock does not price is missing.

        Should m.Stock refuse a whole call for one token that it does not know, that one is found
        by halving the call, and is missing. Raises `Refused` where that does not end.
        """
        auth = _auth(session)
        known = [one for one in instruments if one.codes.get("token")]
        calls = list(market.quote_requests(known, QUOTE_BATCH))
        splits = QUOTE_SPLITS
        found: dict[str, BrokerQuote] = {}
        while calls:
            asked = calls.pop()
            answer = await self._client.post_instruments_quote(auth, market.tokens(asked))
            try:
                found |= market.quotes(answer, asked, self._clock())
            except Refused:
                if not splits or len(known) == 1:
                    raise
                splits -= 1
                half = len(asked) // 2
                calls += [part for part in (asked[:half], asked[half:]) if half and part]
        return found

    async def candles(
        self,
        session: Session,
        instrument: Instrument,
        interval: Interval,
        start: datetime,
        end: datetime,
    ) -> list[Candle]:
        """Read candles of earlier days by one route, those of today by another.

        m.Stock cannot be asked for today's daily candle: it is added up of the half hours that
        m.Stock reports for today. Hours are labelled as m.Stock labels them, see the README.

        Raises:
            Denied: days and today in one call, or more days than `candle_days`.
            Refused: m.Stock finds the question itself wrong.
        """
        auth = _auth(session)
        start, end = start.astimezone(IST), end.astimezone(IST)
        today = self._clock().astimezone(IST).date()
        _check_candles(instrument, interval, start, end, today)
        if start.date() > today or end < start:
            return []
        if start.date() < today:
            body = market.historical_request(instrument, interval, start, end)
            answer = await self._client.post_instruments_historical(auth, body)
            return market.candles(answer, interval, start, end)
        asked = _DAY_PARTS if interval is Interval.D1 else interval
        request = market.intraday_request(instrument, asked)
        answer = await self._client.post_instruments_intraday(auth, request)
        if interval is not Interval.D1:
            return market.candles(answer, interval, start, end)
        midnight = datetime.combine(today, time(), IST)
        if midnight < start:
            return []
        return market.day_of(market.candles(answer, asked, midnight, midnight + _DAY - _TICK))

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Stream the master into `folder`; m.Stock wants a login for it."""
        if session is None:
            raise LoginExpired("m.Stock's instrument master needs a login", created_nothing=True)
        path = folder / _MASTER_FILE
        try:
            await self._client.download_scrip_master(
                _auth(session), path, timeout_s=MASTER_TIMEOUT_S, max_bytes=MASTER_MAX_BYTES
            )
        except BadAnswer as error:
            if error.status == 401:
                raise LoginExpired(
                    "m.Stock no longer takes this session: log in again", created_nothing=True
                ) from error
            raise
        _check_master(path)
        return [path]

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        """Parse the downloaded master row by row."""
        return read_master(files)

    async def _fills(self, auth: Auth) -> dict[str, parse.Fills]:
        return parse.fills_by_order(rows.TRADES.read(await self._client.get_tradebook(auth)))

    async def _fund_rows(self, session: Session) -> list[Row]:
        return rows.list_of(await self._client.get_user_fundsummary(_auth(session)))


def _auth(session: Session) -> Auth:
    api_key = session.extra.get("api_key", "")
    if not api_key:
        raise Denied("the stored m.Stock session has no API key", reason=ReasonCode.SESSION_MISSING)
    return Auth(api_key, session.token)


def _check_candles(
    instrument: Instrument, interval: Interval, start: datetime, end: datetime, today: date
) -> None:
    if instrument.exchange not in INTRADAY_EXCHANGE or not instrument.codes.get("token"):
        raise Denied(
            f"{instrument.instrument} has no m.Stock token", reason=ReasonCode.INSTRUMENT_UNKNOWN
        )
    if start.date() < today <= end.date():
        raise Denied(
            "candles of earlier days and of today are two calls at m.Stock: ask for each",
            reason=ReasonCode.INVALID_ORDER,
        )
    if (end.date() - start.date()).days >= CAPABILITIES.candle_days[interval]:
        raise Denied(
            f"at most {CAPABILITIES.candle_days[interval]} days of {interval.value} candles fit"
            " in one call to m.Stock",
            reason=ReasonCode.INVALID_ORDER,
        )


def _check_master(path: Path) -> None:
    """Refuse a file that is an error envelope or visibly cut short; m.Stock errs with HTTP 200."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64 * 1024)
        file.seek(max(0, size - 64))
        tail = file.read().rstrip()
    opening = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if opening == b"{" and size == len(head):
        envelope = decode_envelope(200, head)
        if not envelope.proves_success:
            raise read_error(envelope)
    ends = {b"[": b"]", b"{": b"}"}.get(opening)
    if not tail or opening == b"<" or (ends is not None and not tail.endswith(ends)):
        raise BadAnswer("m.Stock's instrument master is empty, cut short or a web page", status=200)
