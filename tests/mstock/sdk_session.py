"""Drive an m.Stock server with the official SDK, changed in nothing but the host.

Runs in the SDK's own environment, with the credentials as JSON on standard input:
`python sdk_session.py API_URL CONTROL_URL LOGIN TODAY BEFORE`, the last two being dates of trading
days. Prints what the SDK returned, as one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import requests
from tradingapi_b import __config__

_ORDER = {
    "_variety": "NORMAL",
    "_tradingsymbol": "SBIN-EQ",
    "_symboltoken": "3045",
    "_exchange": "NSE",
    "_transactiontype": "BUY",
    "_ordertype": "LIMIT",
    "_quantity": "10",
    "_producttype": "DELIVERY",
    "_price": "800.50",
    "_triggerprice": "0",
    "_squareoff": "0",
    "_stoploss": "0",
    "_trailingStopLoss": "",
    "_disclosedquantity": "0",
    "_duration": "DAY",
    "_ordertag": "123456789012345",
}


def refused(call: Callable[[], Any]) -> dict[str, str]:
    """Return what the SDK raised; say nothing was raised when that is so."""
    try:
        call()
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)}
    return {"raised": ""}


def code_to_read(control_url: str) -> str:
    """Read the one-time password where a person would: on the phone or the authenticator."""
    return str(requests.get(f"{control_url}/_sim/otp", timeout=5).json()["otp"])


def main() -> None:
    api_url, control_url, login, today, before = sys.argv[1:]
    credentials = json.load(sys.stdin)
    __config__.default_root_uri = f"{api_url}/"
    from tradingapi_b.mconnect import MConnectB

    api_key = credentials["api_key"]
    model = MConnectB(api_key)
    results: dict[str, Any] = {}
    results["wrong_password"] = refused(lambda: model.login(credentials["username"], "guess"))
    results["login"] = model.login(credentials["username"], credentials["password"]).json()
    request_token = results["login"]["data"]["jwtToken"]
    second_step = model.verify_totp if login == "totp" else model.generate_session
    results["session"] = second_step(api_key, request_token, code_to_read(control_url)).json()

    results["empty_book"] = model.get_order_book().json()
    results["place"] = model.place_order(**_ORDER).json()
    order_id = results["place"][0]["data"]["orderid"]
    results["book"] = model.get_order_book().json()
    results["details"] = model.get_order_details(order_id).json()
    changed = ("NORMAL", order_id, "LIMIT", "DELIVERY", "DAY", "801.00", "12", "SBIN-EQ", "3045")
    results["modify"] = model.modify_order(*changed, "NSE", "0").json()
    results["modify_blank"] = model.modify_order(*changed, "NSE", "").status_code
    results["modified"] = model.get_order_book().json()
    results["cancel"] = model.cancel_order("NORMAL", order_id).json()
    results["cancel_again"] = refused(lambda: model.cancel_order("NORMAL", order_id))
    results["cancelled"] = model.get_order_book().json()
    stop = {"_variety": "STOPLOSS", "_ordertype": "STOPLOSS_LIMIT", "_triggerprice": "825.00"}
    results["stop"] = model.place_order(**_ORDER | stop | {"_price": "830.00"}).json()
    stop_id = results["stop"][0]["data"]["orderid"]
    results["stop_cancel"] = model.cancel_order("STOPLOSS", stop_id).json()
    results["too_dear"] = refused(lambda: model.place_order(**_ORDER | {"_quantity": "3000000"}))
    results["market"] = model.place_order(**_ORDER | {"_ordertype": "MARKET", "_price": "0"}).json()
    results["trades"] = model.get_trade_book().json()
    results["positions"] = model.get_net_position().json()
    results["holdings"] = model.get_holdings().json()
    results["funds"] = model.get_fund_summary().json()
    results["trade_history"] = model.get_trade_history(today, today).json()
    results["margin"] = model.calculate_order_margin(
        "DELIVERY", "BUY", "10", "800.50", "NSE", "SBIN-EQ", "3045"
    ).json()
    results["margin_wrong"] = model.calculate_order_margin(
        "CNC", "BUY", "10", "800.50", "NSE", "SBIN-EQ", "3045"
    ).json()
    days = (f"{before} 09:15", f"{before} 15:30")
    results["history"] = model.get_historical_chart("NSE", "3045", "FIVE_MINUTE", *days).json()
    # The SDK's own samples write dates without a time.
    dates = ("NSE", "3045", "ONE_DAY", before, before)
    results["history_day"] = model.get_historical_chart(*dates).json()
    results["intraday"] = model.get_intraday_chart("1", "3045", "THIRTY_MINUTE").json()
    results["intraday_day"] = refused(lambda: model.get_intraday_chart("1", "3045", "ONE_DAY"))
    results["ltp"] = model.get_market_quote("LTP", {"NSE": ["3045"]}).json()
    results["quote"] = model.get_market_quote("OHLC", {"NSE": ["3045", "999260"]}).json()
    results["resting"] = model.place_order(**_ORDER).json()
    results["cancel_all"] = model.cancel_all().json()
    results["cancel_none"] = model.cancel_all().json()
    results["master"] = model.get_instruments().json()[:3]
    results["logout"] = model.logout().json()
    results["after_logout"] = refused(model.get_order_book)
    sys.stdout.write("\n")
    json.dump(results, sys.stdout)


main()
