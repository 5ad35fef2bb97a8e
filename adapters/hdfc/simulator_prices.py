"""The simulated fetch-ltp, strict where the real one is: ten items, tokens as text (8.1)."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from adapters.hdfc import simulator_orders as wire
from adapters.hdfc.simulator_master import other_price
from adapters.sdk.models import Exchange, InstrumentType
from adapters.sdk.simulator import SimRequest, SimResponse

if TYPE_CHECKING:
    from adapters.hdfc.simulator import HdfcSimulator

_MOST_ITEMS = 10
_INDEX = "_INDEX"
# Rows of these segments come back without their exchange (8.1).
_BLANK = ("BFO", "CDS")
_GOOD = {"statusCode": "OK", "statusMsg": "OK"}


class PriceDesk:
    """Answers price requests by segment code; what it does not know is left out."""

    def __init__(self, simulator: HdfcSimulator) -> None:
        self._sim = simulator
        self._blank = frozenset(simulator.options.get("ltp_blank", _BLANK))

    def last_prices(self, request: SimRequest) -> SimResponse:
        """Answer one call. Raises `BadField`."""
        body = wire.read_object(request)
        asked = body.get("data")
        if set(body) != {"data"} or not isinstance(asked, list):
            raise wire.BadField("data")
        if len(asked) > _MOST_ITEMS:
            message = f"maximum {_MOST_ITEMS} items allowed"
            self._sim.violation(request, message)
            return SimResponse(400, {"status": "error", "message": message})
        found = [row for row in map(self._row, asked) if row is not None]
        return SimResponse(200, {"data": found, "meta": _GOOD})

    def _row(self, item: Any) -> dict[str, Any] | None:
        if not isinstance(item, dict):
            raise wire.BadField("data")
        for name in ("exchange", "token"):
            if not isinstance(item.get(name), str):
                raise wire.BadField(name)
        if set(item) != {"exchange", "token"}:
            raise wire.BadField(min(set(item) - {"exchange", "token"}))
        code, token = item["exchange"], item["token"]
        prices = self._prices(code, token)
        if prices is None:
            return None
        close, last = prices
        exchange = "" if code in self._blank else code
        return {"prev_close": close, "ltp": last, "exchange": exchange, "token": int(token)}

    def _prices(self, code: str, token: str) -> tuple[Decimal, Decimal] | None:
        """Find previous close and last price. An index goes only by a code of its own."""
        other = other_price(code, token)
        if other is not None:
            return other, other
        exchange = code.removesuffix(_INDEX)
        if exchange not in Exchange.__members__ or not (token.isascii() and token.isdigit()):
            return None
        contract = self._sim.universe.by_token(Exchange(exchange), int(token))
        if contract is None:
            return None
        if (contract.type is InstrumentType.INDEX) != code.endswith(_INDEX):
            return None
        return contract.price, self._sim.engine.price(contract)
