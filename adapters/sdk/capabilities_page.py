"""The page that compares adapters, made from what they declare and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from adapters.sdk.interface import (
    AdapterPlugin,
    Capabilities,
    Feature,
    RateScope,
    Support,
    TagEcho,
)
from adapters.sdk.models import Exchange, Interval, OrderType, Product, Validity

_INTRODUCTION = """# Capabilities

What each adapter can do. This page is made from the adapters' own declarations by
`brokergate adapter capabilities`, and a test compares the two. What an adapter does not declare, it
refuses with `not_supported` before anything is sent.

- **yes**: supported, and shown against the simulator by the conformance suite.
- **not offered**: the broker has no such thing.
- **unverified**: the broker may have it, but nothing proves how it works: the adapter refuses it.

What is doubtful about each broker stands in its adapter's README."""
_WORDS = {
    Support.SUPPORTED: "yes",
    Support.NOT_OFFERED: "not offered",
    Support.UNVERIFIED: "unverified",
}
_FEATURES = {
    Feature.AMO: "after-market orders (`amo`)",
    Feature.DISCLOSED_QUANTITY: "disclosed quantity",
    Feature.MODIFY: "modify",
    Feature.MODIFY_PART_FILLED_QUANTITY: "modify the quantity of a part-filled order",
    Feature.TRADE_BOOK: "trades",
    Feature.POSITIONS: "positions",
    Feature.HOLDINGS: "holdings",
    Feature.FUNDS: "funds",
    Feature.MARGINS: "margin calculator",
    Feature.QUOTES: "quotes",
    Feature.DEPTH: "market depth",
    Feature.CANDLES: "candles",
    Feature.RESEND_OTP: "another one-time password",
    Feature.LOGOUT: "logout",
}
_TAGS = {
    TagEcho.QUERYABLE: "queryable",
    TagEcho.ECHOED: "echoed",
    TagEcho.UNPROVEN: "unproven, learned per account",
}
_SCOPES = {RateScope.ORDERS: "order calls", RateScope.READS: "reads", RateScope.ALL: "calls"}
_PERIODS = {1: "a second", 60: "a minute", 3_600: "an hour", 86_400: "a day"}

_Cell = Callable[[Capabilities], str]


def render(plugins: Iterable[AdapterPlugin]) -> str:
    """Return the page for these adapters, in the order given."""
    shown = list(plugins)
    sections = [
        _section("Features", shown, [(_name(one), _feature(one)) for one in Feature]),
        _section("Exchanges", shown, _members(Exchange, lambda able: able.exchanges)),
        _section("Order types", shown, _members(OrderType, lambda able: able.order_types)),
        _section("Products", shown, _members(Product, lambda able: able.products)),
        _section("Validities", shown, _members(Validity, lambda able: able.validities)),
        _section(
            "Candles",
            shown,
            [(f"`{one.value}`", _days(one)) for one in Interval],
            "How many days one call to the broker may ask for. Longer ranges are put together.",
        ),
        _section(
            "Limits",
            shown,
            [
                ("orders, changes and cancels in a second, per exchange", _orders_per_second),
                ("further windows", _windows),
                ("instruments per quotes call", lambda able: _if_quotes(able)),
                ("seconds between reads of the book, at least", lambda a: f"{a.book_min_gap_s:g}"),
            ],
            "What the adapter holds itself to, which is less than the broker allows.",
        ),
        _section(
            "Finding an order again",
            shown,
            [
                ("the tag in the broker's books", lambda able: _TAGS[able.tag_echo]),
                (
                    "seconds of good reads before absence counts",
                    lambda a: f"{a.absence_horizon_s:g}",
                ),
                (
                    "login",
                    lambda able: ", ".join(f"`{kind}`" for kind in able.login_kinds) or "none",
                ),
            ],
        ),
    ]
    return "\n\n".join([_INTRODUCTION, *sections]) + "\n"


def _section(
    heading: str,
    plugins: Sequence[AdapterPlugin],
    rows: Sequence[tuple[str, _Cell]],
    words: str = "",
) -> str:
    lines = [f"## {heading}", ""]
    if words:
        lines += [words, ""]
    lines.append(_line(["", *(plugin.title for plugin in plugins)]))
    lines.append("|---" * (len(plugins) + 1) + "|")
    for name, cell in rows:
        lines.append(_line([name, *(cell(plugin.capabilities) for plugin in plugins)]))
    return "\n".join(lines)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _name(feature: Feature) -> str:
    return _FEATURES.get(feature, feature.value.replace("_", " "))


def _feature(feature: Feature) -> _Cell:
    return lambda able: _WORDS[able.features.get(feature, Support.NOT_OFFERED)]


def _members(
    kind: type[StrEnum], of: Callable[[Capabilities], Iterable[StrEnum]]
) -> list[tuple[str, _Cell]]:
    def cell(member: StrEnum) -> _Cell:
        return lambda able: "yes" if member in of(able) else "no"

    return [(f"`{member.value}`", cell(member)) for member in kind]


def _days(interval: Interval) -> _Cell:
    def cell(able: Capabilities) -> str:
        days = able.candle_days.get(interval)
        return "no" if days is None else f"{days} days"

    return cell


def _orders_per_second(able: Capabilities) -> str:
    return str(able.orders_per_second)


def _windows(able: Capabilities) -> str:
    texts = [
        f"{window.count} {_SCOPES[window.scope]} {_period(window.per_s)}" for window in able.limits
    ]
    return ", ".join(texts) or "none"


def _period(seconds: int) -> str:
    return _PERIODS.get(seconds, f"in {seconds} s")


def _if_quotes(able: Capabilities) -> str:
    return str(able.quote_batch) if able.has(Feature.QUOTES) else "-"
