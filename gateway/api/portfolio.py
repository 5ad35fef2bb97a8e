"""What an account owns, what money it has, and what orders would need of that."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from adapters.sdk.models import MarginOrder
from gateway.api.books import good, read_route
from gateway.api.reads import ACCOUNTS, AccountReads, ReadSummary, Result, summary_of
from gateway.api.routing import Answer, Call, Route
from gateway.books.desk import BookDesk
from gateway.books.margins import MarginDesk
from gateway.books.portfolio import (
    FundsRow,
    HoldingRow,
    MarginOrderRow,
    MarginRow,
    funds_row,
    holding_row,
)
from gateway.books.reader import LiveKind, NotRead
from gateway.books.rows import amount, money
from gateway.orchestrator.account import Account
from gateway.orchestrator.plan import PlannedLeg, Planner
from gateway.orders.margins import MarginsRequest, in_order
from gateway.orders.problems import Problem
from gateway.orders.request import OrderRequest
from gateway.orders.times import rfc3339
from gateway.secrets.api_keys import Scope


class HoldingsResult(Result, kw_only=True):
    data: list[HoldingRow] | UnsetType = UNSET


class FundsResult(Result, kw_only=True):
    data: FundsRow | UnsetType = UNSET


class MarginsResult(Result, kw_only=True):
    data: MarginRow | UnsetType = UNSET


class HoldingsRead(msgspec.Struct):
    summary: ReadSummary
    results: list[HoldingsResult]


class FundsRead(msgspec.Struct):
    summary: ReadSummary
    results: list[FundsResult]


class MarginsRead(msgspec.Struct):
    summary: ReadSummary
    results: list[MarginsResult]


_decode = msgspec.json.Decoder(MarginsRequest)
# One account's orders, each with its place in the request.
_Asked = list[tuple[int, OrderRequest, PlannedLeg]]


class PortfolioRoutes:
    def __init__(
        self, desk: BookDesk, margins: MarginDesk, planner: Planner, reads: AccountReads
    ) -> None:
        self._desk = desk
        self._margins = margins
        self._planner = planner
        self._reads = reads

    def routes(self) -> list[Route]:
        return [
            read_route(
                "/v1/holdings",
                self.holdings,
                "Shares that the accounts own",
                HoldingsRead,
                ACCOUNTS,
            ),
            read_route("/v1/funds", self.funds, "Money of the accounts", FundsRead, ACCOUNTS),
            Route(
                method="POST",
                path="/v1/margins",
                scope=Scope.READ,
                handler=self.margins,
                summary="The margin that orders would need at each account; nothing is placed",
                tag="books",
                request=MarginsRequest,
                response=MarginsRead,
            ),
        ]

    async def holdings(self, call: Call) -> Answer:
        async def one(account: Account) -> HoldingsResult:
            book = await self._desk.live(account, LiveKind.HOLDINGS)
            return HoldingsResult(
                **good(account, book), data=[holding_row(row) for row in book.rows]
            )

        results = await self._reads.fan_out(call, one, HoldingsResult)
        return Answer(body=HoldingsRead(summary_of(results), results))

    async def funds(self, call: Call) -> Answer:
        async def one(account: Account) -> FundsResult:
            book = await self._desk.live(account, LiveKind.FUNDS)
            return FundsResult(**_good(account, book.begun_us), data=funds_row(book.rows[0]))

        results = await self._reads.fan_out(call, one, FundsResult)
        return Answer(body=FundsRead(summary_of(results), results))

    async def margins(self, call: Call) -> Answer:
        request: MarginsRequest = call.decode(_decode)
        asked = await self._asked(call, request)

        async def one(account: Account) -> MarginsResult:
            orders = asked[account.id]
            for index, _, leg in orders:
                if leg.denial is not None:
                    details = {**leg.denial.details, "order": index}
                    raise NotRead(msgspec.structs.replace(leg.denial, details=details))
            margin = await self._margins.needed(account, [_order(*item[1:]) for item in orders])
            row = MarginRow(
                required=money(margin.required),
                available=amount(margin.available),
                source=margin.source,
                orders=[
                    MarginOrderRow(
                        index=index,
                        instrument=order.instrument,
                        side=order.side,
                        product=order.product,
                        quantity=leg.quantity,
                        required=amount(needed),
                    )
                    for (index, order, leg), needed in zip(orders, margin.orders, strict=True)
                ],
            )
            return MarginsResult(**_good(account, margin.at_us), data=row)

        accounts = {item.account.id: item.account for legs in asked.values() for _, _, item in legs}
        results = await self._reads.ask(accounts.values(), one, MarginsResult)
        return Answer(body=MarginsRead(summary_of(results), results))

    async def _asked(self, call: Call, request: MarginsRequest) -> dict[str, _Asked]:
        """Resolve each order into its accounts' parts; raises one `Problem` for all mistakes."""
        orders, errors = request.as_orders()
        asked: dict[str, _Asked] = {}
        for index, order in enumerate(orders if not errors else ()):
            try:
                legs = await self._planner.size(order, call.who.allows)
            except Problem as problem:
                own = request.orders[index].accounts is not None
                errors += [in_order(index, error, own=own) for error in problem.errors]
                continue
            for leg in legs:
                asked.setdefault(leg.account.id, []).append((index, order, leg))
        if errors:
            errors = list(dict.fromkeys(errors))
            text = "; ".join(f"{error.field} {error.message}" for error in errors)
            raise Problem(422, "invalid_request", text, errors=errors)
        # Those of the request that no order uses, since each names its own, were not looked at.
        self._reads.assert_known(call, request.accounts or ())
        return asked


def _good(account: Account, at_us: int) -> dict[str, Any]:
    return {
        "account": account.id,
        "broker": account.broker,
        "ok": True,
        "as_of": rfc3339(at_us),
    }


def _order(order: OrderRequest, leg: PlannedLeg) -> MarginOrder:
    assert leg.instrument is not None  # noqa: S101
    return MarginOrder(
        instrument=leg.instrument,
        side=order.side,
        order_type=order.order_type,
        product=order.product,
        quantity=leg.quantity,
        price=order.price,
        trigger_price=order.trigger_price,
    )
