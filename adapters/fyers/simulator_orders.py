"""What the simulated Fyers understands of order bodies, and how it says no to them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.fyers.constants import ORDER_TYPE_FROM_WIRE, PRODUCT_FROM_WIRE, SIDE_FROM_WIRE
from adapters.fyers.simulator_answers import Invalid, choice, number, text, whole
from adapters.fyers.simulator_rows import RMS_MESSAGE
from adapters.fyers.simulator_symbols import Symbols
from adapters.sdk.errors import ReasonCode
from adapters.sdk.models import OrderType, Product, Side, Validity
from adapters.sdk.simulator import Contract, NewOrder, Refusal, SimOrder

_TAG: Final = re.compile(r"[A-Za-z0-9]{1,30}")
_WITH_LIMIT: Final = frozenset({OrderType.LIMIT, OrderType.SL})
_WITH_STOP: Final = frozenset({OrderType.SL, OrderType.SL_M})
_UNCHANGEABLE: Final = frozenset({"symbol", "side", "productType", "validity", "orderTag"})


def read_new_order(body: Any, symbols: Symbols, client_id: str) -> NewOrder:
    """Read a place body as strictly as the dossier describes it (5.2). Raises `Invalid`."""
    if not isinstance(body, dict):
        raise Invalid("Invalid input")
    contract = symbols.find(text(body, "symbol"))
    if contract is None:
        raise Invalid("Invalid symbol", code=-300)
    order_type = choice(body, "type", ORDER_TYPE_FROM_WIRE)
    side = choice(body, "side", SIDE_FROM_WIRE)
    product = PRODUCT_FROM_WIRE.get(text(body, "productType"))
    if product is None:
        raise Invalid("Invalid input: productType")
    if text(body, "validity") not in ("DAY", "IOC"):
        raise Invalid("Invalid input: validity")
    quantity, disclosed = whole(body, "qty"), whole(body, "disclosedQty")
    limit, stop = number(body, "limitPrice"), number(body, "stopPrice")
    if quantity <= 0 or not 0 <= disclosed <= quantity:
        raise Invalid("Invalid input: qty")
    if disclosed and contract.is_derivative:
        raise Invalid("Invalid input: disclosedQty")
    _check_product(product, contract)
    _check_prices(order_type, side, limit, stop, contract)
    if not isinstance(body.get("offlineOrder"), bool):
        raise Invalid("Invalid input: offlineOrder")
    for name in ("takeProfit", "stopLoss", "isSliceOrder"):
        if body.get(name):
            raise Invalid(f"{name} is not simulated")
    return NewOrder(
        contract=contract,
        side=side,
        order_type=order_type,
        product=product,
        quantity=quantity,
        validity=Validity(body["validity"]),
        price=limit or None,
        trigger_price=stop or None,
        disclosed_quantity=disclosed,
        amo=body["offlineOrder"],
        tag=_tag(body.get("orderTag"), client_id),
    )


def read_changes(body: dict[str, Any], order: SimOrder) -> dict[str, Any]:
    """Read the fields of a modify that are there; absent means unchanged (5.4).

    What the order would become is held to the rules of placing. Raises `Invalid`.
    """
    contract = order.contract
    order_type = choice(body, "type", ORDER_TYPE_FROM_WIRE)
    changes: dict[str, Any] = {"order_type": order_type}
    if "qty" in body:
        changes["quantity"] = whole(body, "qty")
        if changes["quantity"] <= 0:
            raise Invalid("Invalid input: qty")
    if "disclosedQty" in body:
        disclosed = changes["disclosed_quantity"] = whole(body, "disclosedQty")
        quantity = changes.get("quantity", order.quantity)
        if not 0 <= disclosed <= quantity or (disclosed and contract.is_derivative):
            raise Invalid("Invalid input: disclosedQty")
    limit = _changed_price(body, "limitPrice", order.price, order_type in _WITH_LIMIT)
    stop = _changed_price(body, "stopPrice", order.trigger_price, order_type in _WITH_STOP)
    _check_prices(order_type, order.side, limit, stop, contract)
    for name in _UNCHANGEABLE & body.keys():
        raise Invalid(f"{name} cannot be modified")
    for name in ("takeProfit", "stopLoss"):
        # Null and zero delete a leg; there is none here to delete.
        if body.get(name):
            raise Invalid(f"{name} is not simulated")
    return {**changes, "price": limit or None, "trigger_price": stop or None}


def read_order_id(body: Any) -> str:
    """Read the id out of a modify or cancel body (5.4)."""
    order_id = body.get("id") if isinstance(body, dict) else None
    if not isinstance(order_id, str) or not order_id:
        raise Invalid("Invalid order id", code=-51)
    return order_id


def with_rms_message(
    new: NewOrder, refusal: Refusal, client_id: str, *, available: Decimal, last_price: Decimal
) -> NewOrder:
    """Return the order with the text that Fyers' risk check rejects it with (4.3).

    Raises `Invalid` for what Fyers checks as a parameter, before there is an order.
    """
    contract = new.contract
    whose = f" for C-{client_id} [FYERS_RISK_CUG]"
    if refusal.reason is ReasonCode.MARGIN_SHORT:
        short = new.quantity * (new.price or last_price) - available
        words = f"RED:Margin Shortfall:INR {short:,.2f} Available:INR {available:,.2f}{whose}"
    elif refusal.reason is ReasonCode.PRICE_BAND:
        words = (
            f"RED:RULE:{{Check circuit limit}}Current:INR {new.price}"
            f" LowerCircuit:INR {contract.lower_price} UpperCircuit:INR {contract.upper_price}"
            f"{whose}"
        )
    elif refusal.reason is ReasonCode.FREEZE_QUANTITY:
        words = f"RED:Freeze qty Set:{contract.freeze_quantity} Current:{new.quantity}{whose}"
    elif refusal.reason is ReasonCode.MARKET_CLOSED:
        words = "RED:Markets are closed right now"
    else:
        raise Invalid(refusal.message)
    return msgspec.structs.replace(new, extra={**new.extra, RMS_MESSAGE: words})


def _check_product(product: Product, contract: Contract) -> None:
    cash_only = product in (Product.CNC, Product.MTF)
    if (cash_only and contract.is_derivative) or (
        product is Product.NRML and not contract.is_derivative
    ):
        raise Invalid("Invalid input: productType")


def _check_prices(
    order_type: OrderType, side: Side, limit: Decimal, stop: Decimal, contract: Contract
) -> None:
    for name, price, wanted in (
        ("LimitPrice", limit, order_type in _WITH_LIMIT),
        ("StopPrice", stop, order_type in _WITH_STOP),
    ):
        if wanted != (price > 0):
            raise Invalid(f"Invalid input: {name}")
        if price % contract.tick_size:
            raise Invalid(f"{name} not a multiple of tick size {contract.tick_size:.4f}")
    if order_type is OrderType.SL and (limit < stop if side is Side.BUY else limit > stop):
        raise Invalid("Invalid input: StopPrice")


def _tag(tag: Any, client_id: str) -> str | None:
    # The Go SDK always sends an empty tag, so the server must take it (dossier 12.22).
    if tag is None or tag == "":
        return None
    if not isinstance(tag, str) or not _TAG.fullmatch(tag) or tag in (client_id, "Untagged"):
        raise Invalid("Invalid input: orderTag")
    return tag


def _changed_price(
    body: dict[str, Any], name: str, current: Decimal | None, is_wanted: bool
) -> Decimal:
    if name in body:
        return number(body, name)
    return current if is_wanted and current is not None else Decimal(0)
