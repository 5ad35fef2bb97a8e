"""Follows one account's order book while any of its legs may still change.

A read that fails, is partial or is from a dead session raises in the adapter and proves
nothing here: the loop only ever draws conclusions from a whole book.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from adapters.sdk.errors import GatewayError, LoginExpired
from gateway.orchestrator.account import Account
from gateway.orchestrator.book import BookView, change_from_row
from gateway.orchestrator.live import LiveLeg
from gateway.orders.states import AT_BROKER, TERMINAL, UNPROVEN, LegState
from gateway.orders.times import now_us
from gateway.store import StoreBroken

log = logging.getLogger(__name__)

_PACE_S = 1.0
_PACE_AFTER_FAILURE_S = 5.0
GOOD_READS_FOR_ABSENCE = 3


class BookFollower:
    """One task per account. `wake` when a leg has just been sent or an operator acted."""

    def __init__(
        self,
        account: Account,
        *,
        on_session_expired: Callable[[Account, LoginExpired], None],
        on_found: Callable[[LiveLeg], None],
        on_done: Callable[[LiveLeg], None],
    ) -> None:
        self._account = account
        self._on_session_expired = on_session_expired
        self._on_found = on_found
        self._on_done = on_done
        self._wake = asyncio.Event()
        self._reachable = True

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Poll while there is something to learn, sleep otherwise. Ends only by cancellation."""
        account = self._account
        while True:
            if account.session is None or not account.moving:
                self._wake.clear()
                if account.session is None or not account.moving:
                    await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(_PACE_S if await self._poll() else _PACE_AFTER_FAILURE_S)

    async def _poll(self) -> bool:
        account, session = self._account, self._account.session
        if session is None:
            return True
        begun_us = now_us()
        try:
            rows = await account.adapter.order_book(session)
        except LoginExpired as error:
            self._on_session_expired(account, error)
            return False
        except GatewayError as error:
            if self._reachable:
                log.warning("%s: order book cannot be read: %s", account.id, error.message)
            self._reachable = False
            return False
        if not self._reachable:
            log.warning("%s: order book can be read again", account.id)
            self._reachable = True
        view = BookView(rows, begun_us)
        for leg in list(account.moving.values()):
            try:
                await self._apply(leg, view)
            except StoreBroken:
                log.error("%s: the journal cannot be written", account.id)
                return False
        account.recovered = True
        return True

    async def _apply(self, leg: LiveLeg, view: BookView) -> None:
        record = leg.record
        if record.state in UNPROVEN:
            await self._look_for(leg, view)
        row = view.order(leg.record.broker_order_id)
        if row is not None and leg.state in AT_BROKER:
            change = change_from_row(leg.record, row, view.begun_us)
            if change is not None:
                await leg.change(
                    change.state,
                    change.event,
                    only_from=AT_BROKER,
                    broker_code=row.raw_state,
                    broker_message=row.message,
                    **change.fields,
                )
        if leg.state in TERMINAL:
            self._on_done(leg)

    async def _look_for(self, leg: LiveLeg, view: BookView) -> None:
        """Match an unproven leg by its exact tag."""
        matches = view.tagged(leg.record.broker_tag)
        if len(matches) == 1 and leg.state is not LegState.DUPLICATE_DETECTED:
            found = await leg.change(
                LegState.ACKED,
                "found",
                only_from=UNPROVEN,
                broker_order_id=matches[0].broker_order_id,
                reason=None,
            )
            if found:
                self._on_found(leg)
        elif len(matches) > 1 and leg.state in (LegState.UNKNOWN, LegState.NOT_FOUND):
            await leg.change(
                LegState.DUPLICATE_DETECTED,
                "duplicate",
                only_from=UNPROVEN,
                details={"broker_order_ids": [row.broker_order_id for row in matches]},
            )
