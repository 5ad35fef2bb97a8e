"""The hdfc adapter: InvestRight behind the gateway's interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

from adapters.hdfc import master, orders, parse, parse_portfolio, parse_quotes, quotes
from adapters.hdfc.client import HdfcClient, Key
from adapters.hdfc.config import CAPABILITIES, LTP_GAP_S
from adapters.hdfc.constants import IST
from adapters.hdfc.login import Login
from adapters.sdk.base import BaseAdapter
from adapters.sdk.errors import BadAnswer, Denied, LoginExpired, NotSent
from adapters.sdk.interface import AdapterContext, Capabilities, SendGate
from adapters.sdk.models import (
    BrokerFunds,
    BrokerHolding,
    BrokerOrder,
    BrokerPosition,
    BrokerQuote,
    BrokerTrade,
    CancelRequested,
    Instrument,
    LoginStep,
    Modified,
    ModifyOrder,
    OrderRef,
    OtpRequired,
    Placed,
    PlaceOrder,
    Session,
)
from adapters.sdk.rowcache import RowCache
from adapters.sdk.transport import OrderTransport, Timeouts, WebTransport

MASTER_FILE = "ir-security-master.csv"


class HdfcAdapter(BaseAdapter):
    """One HDFC Securities account. Repeats nothing, and knows of orders only whether any were."""

    title = "HDFC Securities"

    def __init__(self, context: AdapterContext) -> None:
        base_url = context.base_urls["api"]
        timeouts = Timeouts(connect_s=context.connect_timeout_s, answer_s=context.answer_timeout_s)
        source, ca_file = context.source_address, context.ca_file
        self._orders = OrderTransport(
            base_url, timeouts=timeouts, source_address=source, ca_file=ca_file
        )
        self._web = WebTransport(
            base_url, timeouts=timeouts, source_address=source, ca_file=ca_file
        )
        self._client = HdfcClient(self._orders, self._web, read_timeout_s=context.read_timeout_s)
        self._orders_on: date | None = None
        self._book: RowCache[BrokerOrder] = RowCache()
        self._login = Login(self._client, base_url, context.login)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def close(self) -> None:
        await self._orders.close()
        await self._web.close()

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        return await self._login.begin(credentials)

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        return await self._login.submit_otp(credentials, pending, otp)

    async def resend_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str]
    ) -> OtpRequired:
        return await self._login.resend_otp(credentials, pending)

    async def submit_redirect(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], url: str
    ) -> LoginStep:
        return await self._login.submit_redirect(credentials, pending, url)

    async def prove_session(self, session: Session) -> str:
        return await self._login.prove(_key(session))

    async def logout(self, session: Session) -> None:
        """Do nothing: InvestRight documents no logout, the token is only forgotten."""

    async def warm(self, session: Session) -> None:
        await self._orders.warm()

    def is_warm(self) -> bool:
        return self._orders.is_warm()

    def check_order(self, order: PlaceOrder) -> None:
        orders.check(order)

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        orders.check(order)
        key, body = _key(session), orders.body(order)
        is_sent = True
        try:
            answer = await self._client.post_orders_regular(key, body, gate)
        except (NotSent, Denied):
            is_sent = False
            raise
        finally:
            if is_sent:
                self._orders_on = _today()
        return parse.parse_placed(answer)

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        answer = await self._client.delete_orders_regular(_key(session), ref.broker_order_id, gate)
        return parse.parse_cancel(answer, ref.broker_order_id)

    def check_modify(self, change: ModifyOrder) -> None:
        orders.check_modify(change)

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        orders.check_modify(change)
        order_id, body = change.broker_order_id, orders.modify_body(change)
        answer = await self._client.put_orders_regular(_key(session), order_id, body, gate)
        return parse.parse_modified(answer, order_id)

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the day's orders.

        "No data" as an error is believed until an order of today was sent from here, whatever
        became of it, or was seen in the book.
        """
        answer = await self._client.get_orders(_key(session))
        book = parse.parse_order_book(
            answer, may_be_empty=self._orders_on != _today(), cache=self._book
        )
        if book:
            self._orders_on = _today()
        return book

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        answer = await self._client.get_order(_key(session), ref.broker_order_id)
        return parse.parse_single_order(answer, ref.broker_order_id)

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        """Read the fills and then the order book, which alone says what was traded."""
        trades = await self._client.get_trades(_key(session))
        return parse_portfolio.parse_trades(trades, await self.order_book(session))

    async def positions(self, session: Session) -> list[BrokerPosition]:
        answer = await self._client.get_portfolio_cumulative_positions(_key(session))
        return parse_portfolio.parse_positions(answer)

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        answer = await self._client.get_portfolio_holdings(_key(session))
        return parse_portfolio.parse_holdings(answer)

    async def funds(self, session: Session) -> BrokerFunds:
        return parse_portfolio.parse_funds(await self._client.get_user_margins(_key(session)))

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Read last price and previous close, ten instruments at a time; nothing else exists."""
        found: dict[str, BrokerQuote] = {}
        for number, batch in enumerate(quotes.batches(instruments)):
            if number:
                await asyncio.sleep(LTP_GAP_S)
            answer = await self._client.put_fetch_ltp(_key(session), quotes.items_of(batch))
            found |= parse_quotes.parse_last_prices(answer, batch, datetime.now(IST))
        return found

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Fetch the security master, which needs no login, and walk it once.

        Raises:
            BadAnswer: the header is another one, or the file is empty or cut short.
        """
        path = folder / MASTER_FILE
        fresh = folder / f"{MASTER_FILE}.new"
        try:
            await self._client.download_security_master(fresh)
            await asyncio.to_thread(master.check_file, fresh)
            await asyncio.to_thread(fresh.replace, path)
        except ValueError as error:
            raise BadAnswer(f"HDFC: the security master is unusable: {error}") from None
        finally:
            fresh.unlink(missing_ok=True)
        return [path]

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        return master.read_master(files)


def _today() -> date:
    return datetime.now(IST).date()


def _key(session: Session) -> Key:
    api_key = session.extra.get("api_key")
    if not api_key:
        raise LoginExpired("HDFC: the stored session lacks its API key", created_nothing=True)
    return Key(api_key, session.token)
