"""The Acme adapter: one account at Acme, in the gateway's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from adapters.sdk.base import BaseAdapter
from adapters.sdk.errors import BadAnswer, LoginExpired, LoginRefused
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
from brokergate_acme import orders, parse
from brokergate_acme.client import AcmeClient
from brokergate_acme.config import (
    CAPABILITIES,
    CHALLENGE_LIFETIME_S,
    MASTER_MAX_BYTES,
    MASTER_TIMEOUT_S,
    TITLE,
)
from brokergate_acme.constants import IST
from brokergate_acme.master import read_master

_MASTER_FILE = "master.csv"


class AcmeAdapter(BaseAdapter):
    """One account at Acme (see `adapters.sdk.interface.Adapter`)."""

    title = TITLE

    def __init__(self, context: AdapterContext) -> None:
        self._client = AcmeClient(context)

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def close(self) -> None:
        """Close every connection. The adapter is not used again."""
        await self._client.close()

    # Login

    async def begin_login(self, credentials: Mapping[str, str]) -> LoginStep:
        """Send client code and password; Acme then sends a one-time password."""
        for field in CAPABILITIES.credentials:
            if field.required and not credentials.get(field.name):
                raise LoginRefused(f"the credential {field.name} is missing", restart=True)
        found = parse.login(
            await self._client.post_login(
                api_key=credentials["api_key"],
                username=credentials["username"],
                password=credentials["password"],
            )
        )
        challenge = parse.text(found, "challenge")
        if not challenge:
            raise BadAnswer("Acme began no login")
        return OtpRequired(
            prompt="one-time password that Acme sent to your phone",
            expires_at=datetime.now(IST) + timedelta(seconds=CHALLENGE_LIFETIME_S),
            pending={"challenge": challenge},
        )

    async def submit_otp(
        self, credentials: Mapping[str, str], pending: Mapping[str, str], otp: str
    ) -> LoginStep:
        """Send the one-time password."""
        challenge = pending.get("challenge")
        if not challenge:
            raise LoginRefused("no login is under way: begin again", restart=True)
        found = parse.login(
            await self._client.post_login_otp(
                api_key=credentials["api_key"], challenge=challenge, otp=otp
            )
        )
        token, client = parse.text(found, "token"), parse.text(found, "client")
        ends = parse.moment(found, "expires")
        if not token or not client or ends is None:
            raise BadAnswer("Acme's login answer has no token, client or end")
        return Session(
            token=token, client_id=client, logged_in_at=datetime.now(IST), expires_at=ends
        )

    async def prove_session(self, session: Session) -> str:
        """Read the profile, which names the client."""
        found = parse.data(await self._client.get_profile(session.token))
        client = parse.text(found, "client") if isinstance(found, dict) else ""
        if not client:
            raise BadAnswer("Acme's profile names no client")
        return client

    async def logout(self, session: Session) -> None:
        """End the session; one that is dead already is ended too."""
        try:
            parse.data(await self._client.post_logout(session.token))
        except LoginExpired:
            return

    # Orders

    async def warm(self, session: Session) -> None:
        """Make sure that a connection for orders stands ready, sending nothing."""
        await self._client.warm()

    def is_warm(self) -> bool:
        """Whether an order could go out now on a connection that was proven seconds ago."""
        return self._client.is_warm()

    def check_order(self, order: PlaceOrder) -> None:
        """Raise `Denied` for an order that the broker or this adapter cannot take. No I/O."""
        orders.check(order)

    async def place_order(self, session: Session, order: PlaceOrder, gate: SendGate) -> Placed:
        """Send one order, once, with the tag as `ref`."""
        orders.check(order)
        fields = orders.place_fields(order)
        return Placed(
            broker_order_id=parse.order_id(
                await self._client.post_orders(session.token, fields, gate)
            )
        )

    async def cancel_order(
        self, session: Session, ref: OrderRef, gate: SendGate | None = None
    ) -> CancelRequested:
        """Ask for a cancel, once."""
        response = await self._client.delete_orders(session.token, ref.broker_order_id, gate)
        parse.order_id(response)
        return CancelRequested(broker_order_id=ref.broker_order_id)

    def check_modify(self, change: ModifyOrder) -> None:
        """Raise `Denied` for a change that the broker or this adapter cannot take. No I/O."""
        orders.check_change(change)

    async def modify_order(
        self, session: Session, change: ModifyOrder, gate: SendGate | None = None
    ) -> Modified:
        """Ask for a change, once."""
        orders.check_change(change)
        fields = orders.change_fields(change)
        response = await self._client.put_orders(
            session.token, change.broker_order_id, fields, gate
        )
        parse.order_id(response)
        return Modified(broker_order_id=change.broker_order_id)

    async def order_book(self, session: Session) -> list[BrokerOrder]:
        """Read the whole book."""
        found = parse.rows(await self._client.get_orders(session.token))
        return [parse.order(row) for row in found]

    async def get_order(self, session: Session, ref: OrderRef) -> BrokerOrder | None:
        """Read one order; Acme says `NO_ORDER` for one that does not exist."""
        response = await self._client.get_order(session.token, ref.broker_order_id)
        found = parse.answer(response)
        if not found.good and found.code == "NO_ORDER" and found.status == 200:
            return None
        row = parse.data(response)
        if not isinstance(row, dict):
            raise BadAnswer("Acme's answer is no order")
        return parse.order(row)

    # The account

    async def trade_book(self, session: Session) -> list[BrokerTrade]:
        """Read every fill of the day."""
        return [
            parse.trade(row) for row in parse.rows(await self._client.get_trades(session.token))
        ]

    async def positions(self, session: Session) -> list[BrokerPosition]:
        """Read the net positions."""
        found = parse.rows(await self._client.get_positions(session.token))
        return [parse.position(row) for row in found]

    async def holdings(self, session: Session) -> list[BrokerHolding]:
        """Read the shares that the account owns."""
        found = parse.rows(await self._client.get_holdings(session.token))
        return [parse.holding(row) for row in found]

    async def funds(self, session: Session) -> BrokerFunds:
        """Read the account's money."""
        return parse.funds(parse.data(await self._client.get_funds(session.token)))

    # The market

    async def quotes(
        self, session: Session, instruments: Sequence[Instrument]
    ) -> dict[str, BrokerQuote]:
        """Read prices by canonical id, in batches."""
        asked = {one.codes["key"]: one for one in instruments}
        keys, size = list(asked), CAPABILITIES.quote_batch
        prices: dict[str, BrokerQuote] = {}
        for first in range(0, len(keys), size):
            response = await self._client.post_quotes(session.token, keys[first : first + size])
            prices |= parse.quotes(parse.rows(response), asked, datetime.now(IST))
        return prices

    async def download_master(self, session: Session | None, folder: Path) -> list[Path]:
        """Stream the master into `folder`; it needs no login."""
        path = folder / _MASTER_FILE
        await self._client.download_master(
            path, timeout_s=MASTER_TIMEOUT_S, max_bytes=MASTER_MAX_BYTES
        )
        return [path]

    def read_master(self, files: Iterable[Path]) -> Iterator[Instrument]:
        """Parse the downloaded master row by row."""
        return read_master(files)
