"""How the simulated m.Stock reads an order: strictly, every field a string (dossier 5.1, 5.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NoReturn

import msgspec

from adapters.mstock.simulator_answers import invalid, json_body, missing
from adapters.mstock.simulator_rows import wire_name
from adapters.sdk.models import Exchange, OrderType, Product, Side, Validity
from adapters.sdk.simulator import Contract, NewOrder, SimRequest, Universe

Violation = Callable[[SimRequest, str], None]

_PLACE_FIELDS: Final = (
    "variety",
    "tradingsymbol",
    "symboltoken",
    "exchange",
    "transactiontype",
    "ordertype",
    "quantity",
    "producttype",
    "price",
    "triggerprice",
    "squareoff",
    "stoploss",
    "trailingStopLoss",
    "disclosedquantity",
    "duration",
    "ordertag",
)
_MODIFY_FIELDS: Final = (
    "variety",
    "orderid",
    "tradingsymbol",
    "symboltoken",
    "exchange",
    "ordertype",
    "quantity",
    "producttype",
    "duration",
    "price",
)
_ORDER_TYPES: Final = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "STOPLOSS_LIMIT": OrderType.SL,
    "STOPLOSS_MARKET": OrderType.SL_M,
}
_PRODUCTS: Final = {
    "DELIVERY": Product.CNC,
    "INTRADAY": Product.MIS,
    "CARRYFORWARD": Product.NRML,
    "MARGIN": Product.MTF,
}
_STOPS: Final = (OrderType.SL, OrderType.SL_M)
_SEGMENTS: Final = ("NSE", "BSE", "NFO", "BFO")


class OrderForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a place or modify body says, checked."""

    contract: Contract
    tradingsymbol: str
    variety: str
    order_type: OrderType
    product: Product
    validity: Validity
    quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    disclosed_quantity: int
    side: Side = Side.BUY
    tag: str | None = None

    def new_order(self, *, refusal: str = "") -> NewOrder:
        """Make the engine's order; `refusal` is what the book will say if it is rejected."""
        return NewOrder(
            contract=self.contract,
            side=self.side,
            order_type=self.order_type,
            product=self.product,
            quantity=self.quantity,
            validity=self.validity,
            price=self.price,
            trigger_price=self.trigger_price,
            disclosed_quantity=self.disclosed_quantity,
            amo=self.variety == "AMO",
            tag=self.tag,
            extra={"variety": self.variety, "refusal": refusal},
        )


def read_place_form(request: SimRequest, universe: Universe, violation: Violation) -> OrderForm:
    """Check the body of a placement. Raises `Rejected`."""
    body = _fields(request, _PLACE_FIELDS)
    tag = body["ordertag"]
    if not re.fullmatch(r"[A-Za-z0-9]{0,19}", tag):
        violation(request, "ordertag is not under 20 alphanumeric characters")
        raise invalid("Invalid ordertag.")
    if body["transactiontype"] not in Side.__members__:
        raise invalid("Invalid transactiontype.")
    if body["squareoff"] != "0" or body["stoploss"] != "0":
        violation(request, "squareoff and stoploss are leftovers and stay 0")
    form = _form(request, body, universe, violation)
    if form.disclosed_quantity and form.disclosed_quantity >= form.quantity:
        raise invalid("Invalid disclosed quantity.")
    return msgspec.structs.replace(form, side=Side(body["transactiontype"]), tag=tag or None)


def read_modify_form(request: SimRequest, universe: Universe, violation: Violation) -> OrderForm:
    """Check the body of a modify, which replaces the whole order. Raises `Rejected`."""
    body = _fields(request, _MODIFY_FIELDS)
    if not body.get("triggerprice"):
        raise invalid("Trigger price can not be blank.")
    if body["orderid"] != request.params["order_id"]:
        violation(request, "the body names another order than the path")
        raise invalid("Invalid orderid.")
    return _form(request, body, universe, violation)


def _fields(request: SimRequest, names: tuple[str, ...]) -> dict[str, str]:
    body = json_body(request)
    absent = [name for name in names if not isinstance(body.get(name), str)]
    if absent:
        raise missing(*absent)
    return body


def _form(
    request: SimRequest, body: Mapping[str, str], universe: Universe, violation: Violation
) -> OrderForm:
    contract = _contract(body, universe)
    if body["tradingsymbol"] != wire_name(contract):
        violation(request, "tradingsymbol is not the master's name")
        raise invalid("Invalid tradingsymbol.")
    order_type = _ORDER_TYPES.get(body["ordertype"])
    if order_type is None:
        raise invalid("Invalid ordertype.")
    is_stop = order_type in _STOPS
    if body["variety"] not in ("NORMAL", "AMO", "STOPLOSS"):
        raise invalid("Invalid variety.")
    if (body["variety"] == "STOPLOSS") != is_stop:
        violation(request, "variety does not go with ordertype")
    product = _PRODUCTS.get(body["producttype"])
    wants_cash = product in (Product.CNC, Product.MTF)
    if product is None or (wants_cash and contract.is_derivative):
        _invalid_product()
    if product is Product.NRML and not contract.is_derivative:
        _invalid_product()
    if body["duration"] not in Validity.__members__:
        raise invalid("Invalid duration.")
    price, trigger = _rupees(body["price"]), _rupees(body["triggerprice"])
    is_priced = order_type in (OrderType.LIMIT, OrderType.SL)
    if is_priced and not price:
        raise invalid("Enter valid price.")
    if is_stop and not trigger:
        raise invalid("Enter valid trigger price.")
    return OrderForm(
        contract=contract,
        tradingsymbol=body["tradingsymbol"],
        variety=body["variety"],
        order_type=order_type,
        product=product,
        validity=Validity(body["duration"]),
        quantity=_units(body["quantity"], least=1),
        price=price if is_priced else None,
        trigger_price=trigger if is_stop else None,
        disclosed_quantity=_units(body.get("disclosedquantity") or "0", least=0),
    )


def _contract(body: Mapping[str, str], universe: Universe) -> Contract:
    token = body["symboltoken"]
    contract = None
    if body["exchange"] in _SEGMENTS and re.fullmatch(r"[0-9]{1,12}", token):
        contract = universe.by_token(Exchange(body["exchange"]), int(token))
    if contract is None:
        raise invalid("Invalid symboltoken.")
    return contract


def _invalid_product() -> NoReturn:
    raise invalid(
        "Invalid product. valid product types allowed are DELIVERY, INTRADAY and CARRYFORWARD."
    )


def _rupees(written: str) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,4})?", written):
        raise invalid("Enter valid price.")
    return Decimal(written)


def _units(written: str, *, least: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", written) or int(written) < least:
        raise invalid("Enter valid quantity.")
    return int(written)
