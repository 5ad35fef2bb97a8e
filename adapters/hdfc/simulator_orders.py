"""What the simulated InvestRight understands of order bodies (dossier hdfc 5.2, 5.5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from adapters.hdfc.simulator_master import find, underlying_code
from adapters.sdk.models import OrderType, Product, Side, Validity
from adapters.sdk.simulator import Contract, NewOrder, SimRequest, Universe

LIMIT_ONLY = "algo orders from merchant can only of Limit type"

_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
_PRODUCTS = {
    "DELIVERY": Product.CNC,
    "OVERNIGHT": Product.NRML,
    "INTRADAY": Product.MIS,
    "MTF": Product.MTF,
}
_ORDER_TYPES = {kind.value: kind for kind in OrderType}
_VALIDITIES = {"DAY": Validity.DAY, "IOC": Validity.IOC}
_PLACE_FIELDS = frozenset(
    {
        "exchange",
        "security_id",
        "instrument_segment",
        "underlying_symbol",
        "expiry_date",
        "strike_price",
        "option_type",
        "transaction_type",
        "product",
        "order_type",
        "quantity",
        "price",
        "trigger_price",
        "disclosed_quantity",
        "validity",
        "amo",
        "external_reference_number",
    }
)
# The instrument, the side and the reference cannot be changed (5.5).
_MODIFY_FIELDS = frozenset(
    {
        "quantity",
        "order_type",
        "price",
        "trigger_price",
        "disclosed_quantity",
        "validity",
        "product",
        "amo",
    }
)


class BadField(Exception):
    """A member that the documents do not allow; the text is the broker's answer."""

    def __init__(self, field: str) -> None:
        super().__init__(f"`{field}` is invalid")


class ProductMismatch(Exception):
    """A cash product on a derivative or the other way round."""


def read_object(request: SimRequest) -> dict[str, Any]:
    """Decode a JSON object, prices as `Decimal`. Raises `BadField`."""
    try:
        body = json.loads(request.body, parse_float=Decimal)
    except ValueError:
        raise BadField("body") from None
    if not isinstance(body, dict):
        raise BadField("body")
    return body


def read_place(body: dict[str, Any], universe: Universe) -> NewOrder:
    """Understand a place body. Raises `BadField`, `ProductMismatch`."""
    unknown = set(body) - _PLACE_FIELDS
    if unknown:
        raise BadField(min(unknown))
    contract = _contract(body, universe)
    product = _word(body, "product", _PRODUCTS)
    order_type = _word(body, "order_type", _ORDER_TYPES)
    if contract.is_derivative:
        _check_derivative(body, contract)
    quantity = _whole(body, "quantity", least=1)
    disclosed = _whole(body, "disclosed_quantity", default=0)
    if disclosed > quantity or (disclosed and contract.is_derivative):
        raise BadField("disclosed_quantity")
    if product is not Product.MIS and (product is Product.NRML) != contract.is_derivative:
        raise ProductMismatch(f"Product {body['product']} is not allowed in this segment")
    return NewOrder(
        contract=contract,
        side=_word(body, "transaction_type", _SIDES, str.upper),
        order_type=order_type,
        product=product,
        validity=_word(body, "validity", _VALIDITIES),
        quantity=quantity,
        price=_price(body, "price", needed=order_type in (OrderType.LIMIT, OrderType.SL)),
        trigger_price=_price(
            body, "trigger_price", needed=order_type in (OrderType.SL, OrderType.SL_M)
        ),
        disclosed_quantity=disclosed,
        amo=_flag(body, "amo"),
        tag=_reference(body),
    )


def read_modify(body: dict[str, Any]) -> dict[str, Any]:
    """Understand a modify body as arguments of the engine. Raises `BadField`."""
    unknown = set(body) - _MODIFY_FIELDS
    if unknown:
        raise BadField(min(unknown))
    _flag(body, "amo")
    if "product" in body:
        _word(body, "product", _PRODUCTS)
    order_type = _word(body, "order_type", _ORDER_TYPES)
    changes: dict[str, Any] = {"order_type": order_type}
    if "quantity" in body:
        changes["quantity"] = _whole(body, "quantity", least=1)
    if "validity" in body:
        changes["validity"] = _word(body, "validity", _VALIDITIES)
    if "disclosed_quantity" in body:
        changes["disclosed_quantity"] = _whole(body, "disclosed_quantity")
    changes["price"] = _price(body, "price", needed=False)
    changes["trigger_price"] = _price(body, "trigger_price", needed=False)
    return changes


def _contract(body: dict[str, Any], universe: Universe) -> Contract:
    for name in ("exchange", "instrument_segment", "security_id"):
        if not isinstance(body.get(name), str):
            raise BadField(name)
    if body["exchange"] not in ("NSE", "BSE"):
        raise BadField("exchange")
    found = find(universe, body["exchange"], body["security_id"], body["instrument_segment"])
    if found is None:
        raise BadField("security_id")
    return found


def _check_derivative(body: dict[str, Any], contract: Contract) -> None:
    if body.get("underlying_symbol") != underlying_code(contract):
        raise BadField("underlying_symbol")
    if body.get("expiry_date") != f"{contract.expiry:%Y%m%d}":
        raise BadField("expiry_date")
    if contract.option_type is not None:
        if body.get("option_type") != contract.option_type.value:
            raise BadField("option_type")
        if not _is_number(body.get("strike_price")) or body["strike_price"] != contract.strike:
            raise BadField("strike_price")


def _word(
    body: dict[str, Any],
    name: str,
    words: dict[str, Any],
    spelling: Callable[[str], str] = str,
) -> Any:
    value = body.get(name)
    if not isinstance(value, str) or spelling(value) not in words:
        raise BadField(name)
    return words[spelling(value)]


def _whole(body: dict[str, Any], name: str, *, least: int = 0, default: int | None = None) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadField(name)
    return value


def _price(body: dict[str, Any], name: str, *, needed: bool) -> Decimal | None:
    value = body.get(name, 0)
    if not _is_number(value) or value < 0 or (needed and not value):
        raise BadField(name)
    return Decimal(value) if value else None


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadField(name)
    return value


def _reference(body: dict[str, Any]) -> str | None:
    """Read the client reference: at most 20 digits, as a bare integer or, as some send, text."""
    value = body.get("external_reference_number")
    if value is None:
        return None
    written = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (written.isascii() and written.isdigit() and len(written) <= 20):
        raise BadField("external_reference_number")
    return written


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
