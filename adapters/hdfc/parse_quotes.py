"""InvestRight's last prices to quotes. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from adapters.hdfc.constants import LTP_BLANK
from adapters.hdfc.envelope import Answer, is_null, members, raw_text
from adapters.hdfc.refusals import read_error
from adapters.hdfc.rows import PRICES, PriceRow
from adapters.hdfc.values import Unreadable, Value, price, text
from adapters.sdk.models import BrokerQuote


def parse_last_prices(
    answer: Answer, asked: Mapping[str, tuple[str, str]], as_of: datetime
) -> dict[str, BrokerQuote]:
    """Read last prices by canonical id; `asked` maps token to (exchange word, canonical id).

    A row that names another exchange than was asked, or a token twice, is no price: the same
    token stands for different contracts in different segments. What the broker does not know
    is simply missing.

    Raises:
        LoginExpired, BadAnswer

    Source: dossier hdfc 8.1, 4.1 (no `status` here; `meta` tells).
    """
    top = answer.members or {}
    if not answer.is_2xx or "data" not in top or not _is_good(answer):
        raise read_error(answer, "the last prices")
    if is_null(top["data"]):
        return {}
    found: dict[str, BrokerQuote | None] = {}
    for token, quote in PRICES.read(
        top["data"], lambda row: _last_price(row, asked, as_of), answer
    ):
        if quote is not None:
            found[token] = None if token in found else quote
    return {quote.instrument: quote for quote in found.values() if quote is not None}


def _is_good(answer: Answer) -> bool:
    """Tell whether neither `status` nor `meta.statusCode`, where they are, deny success."""
    status = answer.word("status") or "success"
    meta = members((answer.members or {}).get("meta")) or {}
    code = raw_text(meta.get("statusCode")) or "OK"
    return status.lower() == "success" and code.upper() in ("OK", "SUCCESS", "200")


def _last_price(
    row: PriceRow, asked: Mapping[str, tuple[str, str]], as_of: datetime
) -> tuple[str, BrokerQuote | None]:
    token = _token(row.token)
    last = price(row.ltp, "ltp")
    if token not in asked or last is None or last < 0:
        return token, None
    exchange, instrument = asked[token]
    named = (text(row.exchange) or "").upper()
    if named != exchange and not (not named and exchange in LTP_BLANK):
        return token, None
    close = price(row.prev_close, "prev_close")
    return token, BrokerQuote(instrument=instrument, last_price=last, as_of=as_of, close=close)


def _token(value: Value) -> str:
    """Compare tokens as text: sent as text, they come back as numbers (8.1)."""
    if isinstance(value, Decimal) and value == value.to_integral_value() and value.adjusted() < 19:
        return str(int(value))
    token = text(value)
    if token is None:
        raise Unreadable("no token")
    return token
