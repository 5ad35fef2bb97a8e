"""Fetches brokers' instrument masters into the store, one load per broker at a time."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from adapters.sdk.errors import GatewayError
from gateway.memory import give_back
from gateway.observability.context import asked_by
from gateway.orchestrator.account import Account
from gateway.orders.times import rfc3339
from gateway.store.instruments import InstrumentStore, MasterInfo, MasterTooShort

log = logging.getLogger(__name__)

WriteAudit = Callable[[str, dict[str, Any]], Awaitable[object]]


class MasterLoader:
    """Loads masters; `loaded` is told the broker just before its new rows are the ones read.

    `audit` writes a row of the log: `master` for what was loaded or could not be fetched,
    `alarm` for a master that came whole and was refused.
    """

    def __init__(
        self,
        store: InstrumentStore,
        accounts: Mapping[str, Account],
        data_dir: Path,
        loaded: Callable[[str], None],
        audit: WriteAudit | None,
        most_lost_percent: int,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._data_dir = data_dir
        self._loaded = loaded
        self._audit = audit
        self._most_lost_percent = most_lost_percent
        self._loading: dict[str, asyncio.Lock] = {}

    async def refresh(
        self, brokers: list[str] | None = None, *, accept_fewer: bool = False
    ) -> dict[str, object]:
        """Fetch masters again, side by side; answers rows and changes, or the reason, by broker.

        `accept_fewer`: also one that lost more rows than is plausible.
        """
        wanted = brokers or sorted({account.broker for account in self._accounts.values()})
        copied = self._copied(wanted)
        own = [broker for broker in dict.fromkeys(wanted) if broker not in copied]
        done: dict[str, object] = {}
        # Whoever copies another's list goes after it.
        for part in (own, copied):
            results = await asyncio.gather(*(self._refresh(one, accept_fewer) for one in part))
            done.update(zip(part, results, strict=True))
        return done

    def _copied(self, brokers: list[str]) -> list[str]:
        """Those of the brokers, and of the ones that copy a list of theirs, that copy one."""
        copied = set()
        for account in self._accounts.values():
            if account.plugin.capabilities.practice:
                lender = self._accounts.get(account.policy.quotes_from or "")
                if account.broker in brokers or (lender and lender.broker in brokers):
                    copied.add(account.broker)
        return sorted(copied)

    async def _refresh(self, broker: str, accept_fewer: bool) -> dict[str, object]:
        accounts = [account for account in self._accounts.values() if account.broker == broker]
        if not accounts:
            return {"ok": False, "message": f"no account is configured at {broker}"}
        # A logged-in account first: some masters are only given to a session.
        account = next((item for item in accounts if item.session is not None), accounts[0])
        async with self._loading.setdefault(broker, asyncio.Lock()):
            try:
                await self._load(account, accept_fewer)
            except Exception as error:  # whatever a file does to a parser, the old copy stays
                await self._tell_failure(broker, error)
                return {"ok": False, "message": str(error) or type(error).__name__}
            finally:
                self._loaded(broker)
                give_back()
            info = next(each for each in await self._store.info() if each.broker == broker)
            await self._write("master", _loaded_body(info))
        return {
            "ok": True,
            "rows": info.rows,
            "loaded_at": rfc3339(info.loaded_us),
            "changes": info.changes,
        }

    async def _tell_failure(self, broker: str, error: Exception) -> None:
        text = f"{broker}: instrument master not loaded: {error}"
        if isinstance(error, MasterTooShort):
            log.error("%s", text)
            await self._write("alarm", {"event": "master_refused", "broker": broker, "text": text})
            return
        foreseen = isinstance(error, GatewayError | ValueError | OSError)
        log.warning("%s", text, exc_info=None if foreseen else error)
        await self._write("master", {"event": "not_loaded", "broker": broker, "text": text})

    async def _write(self, kind: str, body: dict[str, Any]) -> None:
        if self._audit is None:
            return
        try:
            await self._audit(kind, {**body, **asked_by()})
        except RuntimeError as error:
            log.error("%s of the instrument masters not written to the journal: %s", kind, error)

    async def _load(self, account: Account, accept_fewer: bool) -> None:
        with tempfile.TemporaryDirectory(prefix="master-", dir=self._data_dir) as folder:
            files = await self._download(account, Path(folder))
            await self._store.replace(
                account.broker,
                account.adapter.read_master(files),
                account.plugin.capabilities.code_keys,
                most_lost_percent=self._most_lost_percent,
                accept_fewer=accept_fewer,
            )

    async def _download(self, account: Account, folder: Path) -> list[Path]:
        """Fetch the broker's files; of a practice broker, those of each of its accounts.

        Practice accounts may copy different brokers. A list that cannot be copied yet is no
        reason to go without the others.
        """
        if not account.plugin.capabilities.practice:
            return await account.adapter.download_master(account.session, folder)
        alike = [one for one in self._accounts.values() if one.broker == account.broker]
        files: list[Path] = []
        problem: GatewayError | None = None
        for one in sorted(alike, key=lambda one: one.policy.quotes_from is None):
            try:
                files += await one.adapter.download_master(one.session, folder)
            except GatewayError as error:
                problem = error
        if problem is not None and not files:
            raise problem
        return files


def _loaded_body(info: MasterInfo) -> dict[str, Any]:
    changes = msgspec.to_builtins(info.changes) if info.changes else None
    return {"event": "loaded", "broker": info.broker, "rows": info.rows, "changes": changes}
