"""Drive a Fyers server with the official SDK, changed in nothing but the host.

Runs in the SDK's own environment: `python sdk_session.py API_URL DATA_URL CONTROL_URL`, with the
credentials and the candles to ask for as JSON on standard input. Prints what the SDK returned,
as one JSON object.
"""

from __future__ import annotations

import json
import re
import sys
from urllib.parse import parse_qs, urlsplit

import requests
from fyers_apiv3 import fyersModel

_LIMIT_ORDER = {
    "symbol": "NSE:SBIN-EQ",
    "qty": 10,
    "type": 1,
    "side": 1,
    "productType": "CNC",
    "limitPrice": 800.5,
    "stopPrice": 0,
    "validity": "DAY",
    "disclosedQty": 0,
    "offlineOrder": False,
}

_MARGIN_ORDER = {
    "symbol": "NSE:SBIN-EQ",
    "qty": 1,
    "side": 1,
    "type": 1,
    "productType": "INTRADAY",
    "limitPrice": 800.0,
    "stopLoss": 0.0,
    "stopPrice": 0.0,
    "takeProfit": 0.0,
}


def browse(login_url: str, control_url: str) -> str:
    """Log in on the page as a person would, and return where it redirects to."""
    page = requests.get(login_url, timeout=5)
    request_key = re.search(r'name="request_key" value="(\w+)"', page.text)[1]
    otp = requests.get(f"{control_url}/_sim/otp", timeout=5).json()["otp"]
    answered = requests.post(
        login_url.partition("?")[0],
        data={"request_key": request_key, "otp": otp},
        allow_redirects=False,
        timeout=5,
    )
    return answered.headers["Location"]


def main() -> None:
    api_url, data_url, control_url = sys.argv[1:]
    given = json.load(sys.stdin)
    credentials, history = given["credentials"], given["history"]
    fyersModel.Config.API = api_url
    fyersModel.Config.DATA_API = data_url

    login = fyersModel.SessionModel(
        client_id=credentials["app_id"],
        secret_key=credentials["secret_key"],
        redirect_uri=credentials["redirect_uri"],
        response_type="code",
        grant_type="authorization_code",
        state="a-state",
    )
    redirected = parse_qs(urlsplit(browse(login.generate_authcode(), control_url)).query)
    login.set_token(redirected["auth_code"][0])
    token = login.generate_token()
    model = fyersModel.FyersModel(
        client_id=credentials["app_id"], token=token["access_token"], is_async=False, log_path="."
    )

    results = {"redirect": redirected, "token": token, "profile": model.get_profile()}
    results["place"] = model.place_order({**_LIMIT_ORDER, "orderTag": "123456789012345"})
    order_id = results["place"]["id"]
    results["book"] = model.orderbook()
    results["by_tag"] = model.orderbook({"order_tag": "1:123456789012345"})
    results["by_id"] = model.orderbook({"id": order_id})
    results["get_orders"] = model.get_orders({"id": order_id})
    results["modify"] = model.modify_order(
        {"id": order_id, "type": 1, "limitPrice": 801, "qty": 12}
    )
    results["modified"] = model.orderbook({"id": order_id})
    results["to_stop"] = model.modify_order(
        {"id": order_id, "type": 4, "limitPrice": 820.5, "stopPrice": 820}
    )
    results["stop"] = model.orderbook({"id": order_id})
    results["cancel"] = model.cancel_order({"id": order_id})
    results["cancel_again"] = model.cancel_order({"id": order_id})
    results["cancelled"] = model.orderbook({"id": order_id})
    results["market"] = model.place_order({**_LIMIT_ORDER, "type": 2, "limitPrice": 0})
    results["invalid"] = model.place_order({**_LIMIT_ORDER, "qty": "ten"})
    results["too_dear"] = model.place_order({**_LIMIT_ORDER, "qty": 3_000_000})
    results["modify_done"] = model.modify_order({"id": order_id, "type": 1, "limitPrice": 802})
    results["trades"] = model.tradebook()
    results["positions"] = model.positions()
    results["holdings"] = model.holdings()
    results["funds"] = model.funds()
    results["quotes"] = model.quotes({"symbols": "NSE:SBIN-EQ,NSE:NIFTY50-INDEX,NSE:NO-EQ"})
    results["quotes_by_body"] = model.quotes_v2({"symbols": ["NSE:SBIN-EQ", "NSE:M&M-EQ"]})
    results["depth"] = model.depth({"symbol": "NSE:M&M-EQ", "ohlcv_flag": "1"})
    results["no_depth"] = model.depth({"symbol": "NSE:NO-EQ", "ohlcv_flag": "1"})
    for name, asked in history.items():
        results[name] = model.history(asked)
    results["market_status"] = model.market_status()
    # The SDK has no call for these two: what its own calls are made with sends them.
    results["margin"] = model.service.post_call(
        "/multiorder/margin", model.header, {"data": [_MARGIN_ORDER]}
    )
    results["trades_by_tag"] = model.service.get_call(
        "/tradebook", model.header, {"order_tag": "2:Untagged"}
    )
    results["logout"] = model.logout()
    results["after_logout"] = model.orderbook()
    json.dump(results, sys.stdout)


main()
