"""What an account holds right now, and how much of it can be closed without crossing zero.

One look is a fresh read of positions and of the order book, less everything of ours and of others
that may still trade on the closing side. What cannot be judged for certain is left, with the why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import msgspec

from adapters.sdk.errors import GatewayError, LoginExpired, ReasonCode
from adapters.sdk.models import BrokerPosition, Instrument, Product, Side
from gateway.orchestrator.account import Account
from gateway.orchestrator.cancelling import NameContract
from gateway.orchestrator.live import LiveLeg, LiveOrder
from gateway.orchestrator.reducing import Reducer, Seen
from gateway.orders.close import Left
from gateway.orders.records import Leg, Reason
from gateway.orders.states import UNPROVEN
from gateway.orders.times import ist, now_us
from gateway.store.closes import Traded

_LOOKS = 4
# How long a broker's positions may take to show a fill that its order book shows.
_LAG_US = 30_000_000
_ONE_DAY = frozenset({Product.MIS, Product.CNC})


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A net position. `free` is what of it no other order may take, in whole lots."""

    instrument: Instrument
    product: Product
    quantity: int
    free: int

    @property
    def name(self) -> str:
        return self.instrument.instrument

    @property
    def side(self) -> Side:
        """The side that closes it."""
        return Side.SELL if self.quantity > 0 else Side.BUY

    @property
    def underlying(self) -> str:
        """What a hedge and the short that it covers have in common."""
        return self.instrument.underlying or self.instrument.symbol


class Look(msgspec.Struct, kw_only=True):
    """Positions that may be closed, and those in question that may not.

    `shorts` are the underlyings of shorts among the latter.
    """

    held: list[Held] = []
    left: list[Left] = []
    shorts: set[str] = set()


class CannotLook(Exception):
    """Nobody can say what the account holds."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


class Exposure:
    """Looks at accounts. It remembers what was sent to close a position, since a broker's
    positions may show a fill later than its order book.
    """

    def __init__(
        self,
        name_contract: NameContract,
        on_session_expired: Callable[[Account, LoginExpired], None],
    ) -> None:
        self._name_contract = name_contract
        self._on_session_expired = on_session_expired
        self._sent: dict[tuple[str, str, Product], tuple[int, list[LiveLeg]]] = {}

    def sent(self, account: Account, held: Held, order: LiveOrder) -> None:
        """Remember an order that closes a position as it was seen."""
        key = (account.id, held.name, held.product)
        base, legs = self._sent.get(key, (held.quantity, []))
        if base != held.quantity:
            base, legs = held.quantity, []
        self._sent[key] = (base, [*legs, *order.legs])

    async def look(
        self, account: Account, products: Collection[Product], instrument: str | None = None
    ) -> Look:
        """Look at the positions in these products, of one instrument where it is named.

        Raises: `CannotLook`.
        """
        reducer = Reducer(account)
        for turn in range(_LOOKS):
            if turn:
                await asyncio.sleep(account.pace().book_min_gap_s)
            seen = await self._read(account, reducer)
            found, lagging = await self._sort(account, reducer, seen, products, instrument)
            # A leg that ended meanwhile is in neither list, and maybe not in those positions.
            if not lagging and seen.finished == account.finished_count:
                return found
        if not lagging:
            raise CannotLook(
                _reason(
                    ReasonCode.UNRESOLVED,
                    f"orders of {account.id} kept ending while its positions were read",
                )
            )
        return found

    async def _read(self, account: Account, reducer: Reducer) -> Seen:
        session = account.session
        if session is None:
            raise CannotLook(
                account.obstacle()
                or _reason(ReasonCode.SESSION_MISSING, f"{account.id} is not logged in")
            )
        try:
            return await reducer.fresh(session)
        except GatewayError as error:
            if isinstance(error, LoginExpired):
                self._on_session_expired(account, error)
            message = f"the positions cannot be read: {error.message}"
            reason = _reason(error.reason, message)
            raise CannotLook(reason) from error

    async def _sort(
        self,
        account: Account,
        reducer: Reducer,
        seen: Seen,
        products: Collection[Product],
        wanted: str | None,
    ) -> tuple[Look, bool]:
        """Judge each position; also whether one does not show yet what our orders traded."""
        look, lagging = Look(held=[], left=[], shorts=set()), False
        for row, instrument in await self._merged(account, seen.positions, wanted):
            if not row.quantity or (row.product is not None and row.product not in products):
                continue
            reason = _obstacle(account, row, instrument)
            if instrument is not None and row.product is not None and reason is None:
                reason = self._lag(account, instrument, row)
                lagging = lagging or reason is not None
            if instrument is None or row.product is None or reason is not None:
                name = instrument.instrument if instrument else None
                why = reason or _reason(ReasonCode.INSTRUMENT_UNKNOWN, "unknown contract")
                look.left.append(left(account, name, row.product, row.quantity, why))
                if row.quantity < 0 and instrument is not None:
                    look.shorts.add(instrument.underlying or instrument.symbol)
                continue
            held = Held(instrument=instrument, product=row.product, quantity=row.quantity, free=0)
            taken = reducer.spoken_for(seen, instrument, held.side, held.product)
            free = max(abs(held.quantity) - taken, 0)
            lots = free - free % instrument.lot_size
            look.held.append(msgspec.structs.replace(held, free=lots))
        return look, lagging

    async def _merged(
        self, account: Account, rows: Sequence[BrokerPosition], wanted: str | None
    ) -> list[tuple[BrokerPosition, Instrument | None]]:
        """One row for each contract and product, of those in question."""
        found: dict[Hashable, tuple[BrokerPosition, Instrument | None]] = {}
        for n, row in enumerate(rows):
            instrument = await self._name_contract(account, row.codes)
            name = instrument.instrument if instrument else None
            if wanted is not None and name != wanted:
                continue
            key: Hashable = (name, row.product) if name else n
            if key in found:
                total = found[key][0].quantity + row.quantity
                row = msgspec.structs.replace(row, quantity=total)
            found[key] = (row, instrument)
        return list(found.values())

    def _lag(self, account: Account, instrument: Instrument, row: BrokerPosition) -> Reason | None:
        """Why a position cannot be as it is shown: what closes it has traded since it was so."""
        name, product = instrument.instrument, row.product
        known = self._sent.get((account.id, name, product)) if product else None
        if known is None or known[0] != row.quantity:
            return None
        fresh = now_us() - _LAG_US
        traded = [
            leg.record.leg_id
            for leg in known[1]
            if leg.record.filled_quantity and leg.record.updated_us > fresh
        ]
        if not traded:
            return None
        return _reason(
            ReasonCode.UNRESOLVED,
            f"the positions do not show yet what {', '.join(traded)} traded; try again shortly",
            legs=traded,
        )


def left(
    account: Account,
    instrument: str | None,
    product: Product | None,
    quantity: int | None,
    reason: Reason,
) -> Left:
    return Left(
        account=account.id,
        instrument=instrument,
        product=product,
        quantity=quantity,
        reason=reason,
    )


class Share(msgspec.Struct, frozen=True):
    """One owner's part of a position, signed as that is: what is proven of what its fills claim."""

    proven: int
    claimed: int


def share_of(
    held: Held, traded: Sequence[Traded], owner: Callable[[Traded], str | None], wanted: str
) -> Share:
    """How much of a position one owner's fills are proven to be.

    `owner` names whose a leg is, None for nobody's. What nobody owns and what was traded elsewhere
    against the owner's side may have been the owner's, so it is taken off. Fills of another day
    count only in products that are carried over.
    """
    now = now_us()
    nets: dict[str | None, int] = {}
    for one in traded:
        leg = one.leg
        if leg.instrument != held.name or leg.product is not held.product:
            continue
        if held.product in _ONE_DAY and not _is_of_today(leg, now):
            continue
        signed = leg.filled_quantity if leg.side is Side.BUY else -leg.filled_quantity
        nets[owner(one)] = nets.get(owner(one), 0) + signed
    elsewhere = held.quantity - sum(nets.values())
    mine = nets.get(wanted, 0)
    if mine * held.quantity <= 0:
        return Share(0, mine)
    sign = 1 if mine > 0 else -1
    against = sum(max(-sign * other, 0) for other in (nets.get(None, 0), elsewhere))
    return Share(sign * max(min(abs(mine) - against, abs(held.quantity)), 0), mine)


def unproven(share: Share, whose: str) -> Reason:
    """Why not all of what an owner's fills claim is closed for it."""
    return _reason(
        ReasonCode.UNRESOLVED,
        f"the fills of {whose} come to {share.claimed} of it, and only {share.proven} is proven to"
        " be still its own: others, or nobody that the journal knows, have traded it since",
    )


def _obstacle(
    account: Account, row: BrokerPosition, instrument: Instrument | None
) -> Reason | None:
    """Why a position is left alone whatever else is true, or None."""
    if instrument is None:
        message = f"its contract is not in the instrument master: {row.codes}"
        return _reason(ReasonCode.INSTRUMENT_UNKNOWN, message)
    if row.product is None:
        return _reason(ReasonCode.UNRESOLVED, "the broker's word for its product is not known")
    unproven = [
        leg.record.leg_id
        for leg in account.moving.values()
        if leg.state in UNPROVEN and leg.record.instrument == instrument.instrument
    ]
    if unproven:
        message = f"the fate of {', '.join(unproven)} is not proven; resolve it first"
        return _reason(ReasonCode.UNRESOLVED, message, legs=unproven)
    if row.product in (Product.CNC, Product.MTF) and row.quantity < 0:
        message = "shares that were sold out of holdings are no position to buy back"
        return _reason(ReasonCode.PRODUCT_NOT_ALLOWED, message)
    if row.multiplier != 1:
        message = f"the broker counts it in units of {row.multiplier}, which is not proven enough"
        return _reason(ReasonCode.NOT_SUPPORTED, message)
    if row.quantity % instrument.lot_size:
        message = f"its quantity {row.quantity} is not a multiple of {instrument.lot_size}"
        return _reason(ReasonCode.LOT_SIZE, message)
    return None


def _is_of_today(leg: Leg, now: int) -> bool:
    """Whether a leg traded on the day whose positions are shown now.

    By its last change, which is its last fill: an after-market order trades a day after it came.
    """
    return ist(leg.updated_us).date() == ist(now).date()


def _reason(code: ReasonCode, message: str, **details: Any) -> Reason:
    return Reason(code=code, message=message, details=details, retryable=code in _PASSING)


_PASSING = frozenset(
    {
        ReasonCode.UNRESOLVED,
        ReasonCode.SESSION_MISSING,
        ReasonCode.SESSION_EXPIRED,
        ReasonCode.BROKER_UNAVAILABLE,
        ReasonCode.RATE_LIMITED,
        ReasonCode.BREAKER_OPEN,
        ReasonCode.TIMEOUT,
    }
)
