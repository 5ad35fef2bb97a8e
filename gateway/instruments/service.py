"""Fetches brokers' masters, keeps the last good one, and answers look-ups from a small cache."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import tempfile
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from adapters.sdk.errors import GatewayError
from adapters.sdk.models import Instrument
from gateway.orchestrator.account import Account
from gateway.orders.times import rfc3339
from gateway.store.instruments import InstrumentStore, MasterTooShort, contract_of

log = logging.getLogger(__name__)

_CACHED = 4096


class InstrumentService:
    """Looks instruments up by broker and canonical id. One load per broker at a time."""

    def __init__(
        self, store: InstrumentStore, accounts: Mapping[str, Account], data_dir: Path
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._data_dir = data_dir
        self._cache: OrderedDict[tuple[str, str], Instrument] = OrderedDict()
        self._contracts: OrderedDict[tuple[str, str], Instrument] = OrderedDict()
        self._loading: dict[str, asyncio.Lock] = {}

    async def find(self, broker: str, instrument: str) -> Instrument | None:
        """Return the contract as that broker lists it, or None.

        Raises: `AmbiguousInstrument` when the broker's list has two of that name.
        """
        key = (broker, instrument)
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
            return cached
        found = await self._store.find(broker, instrument)
        if found is not None:
            self._cache[key] = found
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return found

    async def find_by_codes(self, account: Account, codes: Mapping[str, str]) -> Instrument | None:
        """Return the contract that a row of the account's broker is about, or None."""
        return (await self.find_contracts(account, [codes]))[0]

    async def find_contracts(
        self, account: Account, codes: Sequence[Mapping[str, str]]
    ) -> list[Instrument | None]:
        """Return what the contracts of a broker's rows are called here, in the same order.

        None where the broker's master lacks a contract, or has it under two names.
        """
        broker, keys = account.broker, account.plugin.capabilities.code_keys
        wanted = [contract_of(one, keys) for one in codes]
        known = {name: self._contracts.get((broker, name)) for name in wanted if name}
        asked = [name for name, item in known.items() if item is None]
        if asked:
            found = await self._store.find_contracts(broker, asked)
            known.update(found)
            self._remember(broker, found.items())
        return [known.get(name) if name else None for name in wanted]

    async def find_isins(self, broker: str, isins: Collection[str]) -> dict[str, str]:
        """Return what the shares of these ISINs are called here.

        An ISIN is one security wherever it is listed: the broker's own master goes before
        others', NSE before BSE. One with two names at that exchange is missing from the answer.
        """
        found = {}
        for isin, listed in (await self._store.find_isins(isins) if isins else {}).items():
            own = listed.get(broker)
            names = set(own) if own else {name for each in listed.values() for name in each}
            name = _one_listing(names)
            if name is not None:
                found[isin] = name
        return found

    def _remember(self, broker: str, found: Iterable[tuple[str, Instrument]]) -> None:
        for name, item in found:
            self._contracts[broker, name] = item
        while len(self._contracts) > _CACHED:
            self._contracts.popitem(last=False)

    async def find_everywhere(self, instrument: str) -> dict[str, Instrument]:
        """Return the contract at every configured broker that lists it."""
        listed = {}
        for broker in sorted({account.broker for account in self._accounts.values()}):
            try:
                found = await self.find(broker, instrument)
            except LookupError:
                continue
            if found is not None:
                listed[broker] = found
        return listed

    async def missing(self) -> list[str]:
        """The configured brokers that have no master yet."""
        loaded = {info.broker for info in await self._store.info()}
        return sorted({account.broker for account in self._accounts.values()} - loaded)

    async def refresh(self, brokers: list[str] | None = None) -> dict[str, object]:
        """Fetch masters again, side by side; answers rows or the reason per broker."""
        wanted = brokers or sorted({account.broker for account in self._accounts.values()})
        copied = self._copied(wanted)
        own = [broker for broker in wanted if broker not in copied]
        done: dict[str, object] = {}
        # Whoever copies another's list goes after it.
        for part in (own, copied):
            results = await asyncio.gather(*(self._refresh(broker) for broker in part))
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

    async def loaded(self) -> dict[str, object]:
        return {
            info.broker: {"rows": info.rows, "loaded_at": rfc3339(info.loaded_us)}
            for info in await self._store.info()
        }

    async def _refresh(self, broker: str) -> dict[str, object]:
        accounts = [account for account in self._accounts.values() if account.broker == broker]
        if not accounts:
            return {"ok": False, "message": f"no account is configured at {broker}"}
        # A logged-in account first: some masters are only given to a session.
        account = next((item for item in accounts if item.session is not None), accounts[0])
        lock = self._loading.setdefault(broker, asyncio.Lock())
        async with lock:
            try:
                rows = await self._load(account)
            except (GatewayError, MasterTooShort, ValueError, OSError) as error:
                log.warning("%s: instrument master not loaded: %s", broker, error)
                return {"ok": False, "message": str(error)}
        for cache in (self._cache, self._contracts):
            for key in [key for key in cache if key[0] == broker]:
                del cache[key]
        _give_back_memory()
        return {"ok": True, "rows": rows}

    async def _load(self, account: Account) -> int:
        with tempfile.TemporaryDirectory(prefix="master-", dir=self._data_dir) as folder:
            files = await self._download(account, Path(folder))
            rows = account.adapter.read_master(files)
            keys = account.plugin.capabilities.code_keys
            return await self._store.replace(account.broker, rows, keys)

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


def _one_listing(names: Collection[str]) -> str | None:
    for exchange in ("NSE:", "BSE:"):
        here = [name for name in names if name.startswith(exchange)]
        if here:
            return here[0] if len(here) == 1 else None
    return None


def _give_back_memory() -> None:
    """Return what a large parse has freed: glibc keeps it, and a small machine needs it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
