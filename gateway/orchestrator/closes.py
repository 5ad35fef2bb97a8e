"""`POST /v1/positions/close`: a request to close, once per key, at several accounts."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence

import msgspec

from adapters.sdk.errors import ReasonCode
from gateway.orchestrator.account import Account
from gateway.orchestrator.account_close import AccountClose, CloseRun, Desk, again
from gateway.orchestrator.caller import Caller
from gateway.orchestrator.closing import Closer
from gateway.orchestrator.exposure import left
from gateway.orchestrator.service import OrderService
from gateway.orchestrator.stops import Stops
from gateway.orders.close import (
    CLOSE_PREFIX,
    Close,
    CloseOutcome,
    CloseRequest,
    Left,
    close_fingerprint,
)
from gateway.orders.problems import Problem
from gateway.orders.records import Reason
from gateway.orders.times import now_us
from gateway.store import Existing, Store, StoreBroken

log = logging.getLogger(__name__)


class PositionCloses:
    """Runs requests to close. One per process; a client that hangs up ends none of them."""

    def __init__(
        self,
        service: OrderService,
        store: Store,
        accounts: Mapping[str, Account],
        closer: Closer,
        stops: Stops,
        boot_id: str,
    ) -> None:
        self._service = service
        self._store = store
        self._accounts = accounts
        self._desk = Desk(service=service, store=store, closer=closer, stops=stops)
        self._boot_id = boot_id
        self._running: dict[str, CloseRun] = {}

    def busy(self, account_id: str) -> bool:
        """Whether positions of an account are being closed now."""
        return any(account_id in run.close.accounts for run in self._running.values())

    async def known(self, caller: Caller, key: str, request: CloseRequest) -> CloseRun | None:
        """Return what a key was used for already. Raises `Problem` where for something else."""
        existing = await self._store.find_key(caller.client, key)
        if existing is None:
            return None
        return await self._replay(existing, close_fingerprint(request))

    async def place(
        self,
        caller: Caller,
        key: str,
        request: CloseRequest,
        accounts: Sequence[str],
        wait_s: float,
    ) -> tuple[CloseRun, bool]:
        """Close positions; returns what stands after `wait_s`, and whether the key is an old one.

        Raises: `Problem` for a key of another request; `StoreBroken`, and nothing was done then.
        """
        close = Close(
            close_id=CLOSE_PREFIX + secrets.token_hex(13),
            client=caller.client,
            idempotency_key=key,
            fingerprint=close_fingerprint(request),
            created_us=now_us(),
            request=request,
            accounts=tuple(accounts),
            boot_id=self._boot_id,
        )
        run = CloseRun(close=close, working=set(accounts))
        # Known before the key is: a repetition must find it while it works.
        self._running[close.close_id] = run
        try:
            existing = await self._store.insert_close(close, caller.actor())
        except BaseException:
            del self._running[close.close_id]
            raise
        if existing is not None:
            del self._running[close.close_id]
            return await self._replay(existing, close.fingerprint), True
        working = self._service.spawn(self._run(caller, run))
        await asyncio.wait([working], timeout=wait_s)
        return run, False

    async def _replay(self, existing: Existing, mark: bytes) -> CloseRun:
        running = self._running.get(existing.order_id)
        loaded = await self._store.load_close(existing.order_id)
        if loaded is None or existing.fingerprint != mark:
            raise Problem(
                422,
                "idempotency_key_reused",
                "this Idempotency-Key belongs to another request; use a new key for a new one",
                sent=None,
                extra={"order_id": existing.order_id},
            )
        if running is not None:
            return running
        close, outcome, order_ids = loaded
        orders = [await self._service.find(order_id) for order_id in order_ids]
        run = CloseRun(close=close, orders=[order for order in orders if order is not None])
        run.outcome = outcome or _interrupted(close)
        return run

    async def _run(self, caller: Caller, run: CloseRun) -> None:
        try:
            accounts = [self._accounts[name] for name in run.close.accounts]
            await asyncio.gather(*(self._guarded(caller, run, account) for account in accounts))
            run.outcome.finished = True
            await self._store.finish_close(run.close.close_id, run.outcome)
        except StoreBroken:
            log.error("what became of %s could not be written to the journal", run.close.close_id)
        finally:
            del self._running[run.close.close_id]

    async def _guarded(self, caller: Caller, run: CloseRun, account: Account) -> None:
        """Close one account's; what is not foreseen there leaves the others alone."""
        try:
            async with self._desk.closer.turn(account):
                await AccountClose(self._desk, caller, run, account).close()
        except Exception as error:
            log.exception("%s: closing positions met an unexpected failure", account.id)
            message = f"an internal failure ({type(error).__name__}); look at the positions"
            reason = Reason(code=ReasonCode.UNRESOLVED, message=message)
            run.outcome.remaining.append(left(account, None, None, None, reason))
        finally:
            run.working.discard(account.id)


def still_left(run: CloseRun) -> list[Left]:
    """What remains by now: a closing order that rested may have been filled since."""
    found = []
    for item in run.outcome.remaining:
        if item.reason.code is ReasonCode.TIMEOUT and item.quantity is not None:
            rests = [
                leg.record.quantity - leg.record.filled_quantity
                for order in run.orders
                for leg in order.legs
                if (leg.record.account, leg.record.instrument, leg.record.product)
                == (item.account, item.instrument, item.product)
            ]
            rest = sum(rests) if item.quantity > 0 else -sum(rests)
            if not rest:
                continue
            item = msgspec.structs.replace(item, quantity=rest)
        found.append(item)
    for account in sorted(run.working):
        found.append(
            Left(
                account=account,
                instrument=run.close.request.instrument,
                product=run.close.request.product,
                quantity=None,
                reason=Reason(
                    code=ReasonCode.TIMEOUT,
                    message="it is still under way; send the same request with the same key again",
                    retryable=True,
                ),
            )
        )
    return found


def _interrupted(close: Close) -> CloseOutcome:
    """What is said of a request that an earlier process did not see through."""
    reason = again(
        "the gateway restarted while this was under way; look at the positions and close again"
        " with a new key"
    )
    return CloseOutcome(
        finished=True,
        remaining=[
            Left(
                account=account,
                instrument=close.request.instrument,
                product=close.request.product,
                quantity=None,
                reason=reason,
            )
            for account in close.accounts
        ],
    )
