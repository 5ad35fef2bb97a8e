"""`brokergate orders`: the journal's view of orders and their legs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from gateway.cli.client import ask
from gateway.cli.options import json_option, target_of, target_options
from gateway.cli.output import print_columns, print_json
from gateway.cli.target import connected


@click.command("orders")
@click.argument("order_id", required=False)
@click.option("--account", help="Only orders with a leg at this account.")
@click.option("--state", help="Only this leg state, or several separated by commas.")
@click.option("--open", "open_only", is_flag=True, help="Only orders that may still change.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--history", is_flag=True, help="With ORDER_ID: every step and broker word.")
@target_options
@json_option
def command(
    order_id: str | None,
    account: str | None,
    state: str | None,
    open_only: bool,
    limit: int,
    history: bool,
    config: str | None,
    url: str | None,
    key_file: str | None,
    as_json: bool,
) -> None:
    """List orders, newest first, one line per leg; or show one order.

    \b
    Examples:
      brokergate orders --open
      brokergate orders ord_01J... --history
    """
    if history and not order_id:
        raise click.UsageError("--history needs an ORDER_ID")
    query = {"limit": str(limit)}
    query |= {"account": account} if account else {}
    query |= {"state": state.upper()} if state else {}
    query |= {"open": "true"} if open_only else {}
    with connected(target_of(config, url, key_file), offline=True) as api:
        if order_id:
            path = f"/v1/orders/{quote(order_id, safe='')}" + ("/history" if history else "")
            found = ask(api, "GET", path)
        else:
            found = ask(api, "GET", "/v1/orders", query=query)
    if as_json:
        print_json(found)
    elif history:
        _print_history(found["events"])
    else:
        _print_legs([found] if order_id else found["orders"])


def _print_legs(orders: list[dict[str, Any]]) -> None:
    rows = [
        [
            order["created_at"],
            order["order_id"],
            _words(order["request"]),
            leg["account"],
            leg["outcome"],
            leg["state"],
            leg["broker_order_id"],
            f"{leg['filled_quantity']}/{leg['quantity']}",
            leg["average_price"],
            (leg["reason"] or {}).get("message"),
        ]
        for order in orders
        for leg in order["legs"]
    ]
    heads = "placed order asked account outcome state broker-order filled average reason"
    print_columns(heads.split(), rows, "No orders.")


def _print_history(events: list[dict[str, Any]]) -> None:
    fields = ("at", "leg_id", "from", "to", "event", "attempt", "ms", "broker_message")
    rows = [[event[field] for field in fields] for event in events]
    heads = ("at", "leg", "from", "to", "event", "attempt", "ms", "broker's words")
    print_columns(heads, rows, "No events.")


def _words(request: dict[str, Any]) -> str:
    """Say an order as traders do: BUY 10 NSE:SBIN LIMIT 812.50 CNC."""
    parts = [
        request["side"],
        request["quantity"] or f"{request['lots']} lots",
        request["instrument"],
        request["order_type"],
        request["price"],
        request["trigger_price"],
        request["product"],
    ]
    return " ".join(str(part) for part in parts if part is not None)
