"""Answers look-ups in the masters from a small cache, and has them fetched again."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec

from adapters.sdk.models import Instrument, InstrumentType
from gateway.instruments.expiries import MarkedExpiry, marked
from gateway.instruments.loading import MasterLoader, WriteAudit
from gateway.instruments.spelling import suggestions
from gateway.orchestrator.account import Account
from gateway.orders.times import ist, now_us
from gateway.store.instruments import InstrumentStore, Listed, MasterInfo, Wanted, contract_of

_CACHED = 2048
_SUGGESTED_FROM = 20


class InstrumentService:
    """Looks instruments up by broker and canonical id. One load per broker at a time."""

    def __init__(
        self,
        store: InstrumentStore,
        accounts: Mapping[str, Account],
        data_dir: Path,
        *,
        audit: WriteAudit | None = None,
        most_lost_percent: int = 30,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._cache: OrderedDict[tuple[str, str], Instrument] = OrderedDict()
        self._contracts: OrderedDict[tuple[str, str], Instrument] = OrderedDict()
        # How often each master was swapped: what was read before a swap must not be kept after.
        self._swaps: dict[str, int] = {}
        self._loader = MasterLoader(
            store, accounts, data_dir, self._forget, audit, most_lost_percent
        )

    async def find(self, broker: str, instrument: str) -> Instrument | None:
        """Return the contract as that broker lists it, or None.

        A freeze quantity is the exchange's: where this broker's list has none, another's counts.

        Raises: `AmbiguousInstrument` when the broker's list has two of that name.
        """
        key = (broker, instrument)
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
            return cached
        swaps = dict(self._swaps)
        found = await self._store.find(broker, instrument)
        if found is not None and found.is_derivative and found.freeze_quantity is None:
            freeze = await self._freeze_elsewhere(broker, instrument)
            found = msgspec.structs.replace(found, freeze_quantity=freeze)
        if found is not None and swaps == self._swaps:
            self._cache[key] = found
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)
        return found

    async def _freeze_elsewhere(self, broker: str, instrument: str) -> int | None:
        """The smallest freeze quantity that another broker's list has for the contract."""
        found = []
        for other in {account.broker for account in self._accounts.values()} - {broker}:
            with contextlib.suppress(LookupError):
                listed = await self._store.find(other, instrument)
                if listed is not None and listed.freeze_quantity is not None:
                    found.append(listed.freeze_quantity)
        return min(found, default=None)

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
            swaps = self._swaps.get(broker)
            found = await self._store.find_contracts(broker, asked)
            known.update(found)
            if swaps == self._swaps.get(broker):
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

    def is_configured(self, broker: str) -> bool:
        return broker in self._configured()

    def _configured(self) -> set[str]:
        return {account.broker for account in self._accounts.values()}

    async def missing(self) -> list[str]:
        """The configured brokers that have no master yet."""
        loaded = {info.broker for info in await self._store.info()}
        return sorted({account.broker for account in self._accounts.values()} - loaded)

    async def refresh(
        self, brokers: list[str] | None = None, *, accept_fewer: bool = False
    ) -> dict[str, object]:
        """Fetch masters again, side by side; answers rows and changes, or the reason, by broker.

        `accept_fewer`: also one that lost more rows than is plausible.
        """
        return await self._loader.refresh(brokers, accept_fewer=accept_fewer)

    async def info(self) -> list[MasterInfo]:
        """What is known of every master that is in use."""
        return await self._store.info()

    async def search(self, wanted: Wanted, limit: int) -> list[Listed]:
        """Return contracts that have not expired, best match first, as every broker lists them."""
        return await self._store.search(wanted, limit, _today(), self._configured())

    async def expiries(self, underlying: str) -> list[MarkedExpiry]:
        """Return the days on which the futures and options of an underlying have yet to expire."""
        brokers = self._configured()
        found = await self._store.expiries(underlying.upper())
        return marked((each for each in found if each.broker in brokers), _today())

    async def suggest(self, instrument: str) -> list[str]:
        """Return canonical ids that may have been meant by one that no master has."""
        return await suggestions(instrument, self.search)

    async def roots_like(self, underlying: str) -> list[str]:
        """Return underlyings of futures and options that may have been meant."""
        found: dict[str, None] = {}
        for word in (underlying, underlying.split()[0]):
            wanted = Wanted(query=word, type=InstrumentType.FUT)
            for listed in await self.search(wanted, _SUGGESTED_FROM):
                found.setdefault(next(iter(listed.values())).underlying or "")
        return [root for root in found if root][:5]

    async def assert_not_ambiguous(self, instrument: str) -> None:
        """Raise `AmbiguousInstrument` where a configured broker's master has two of that name."""
        for broker in sorted({account.broker for account in self._accounts.values()}):
            await self._store.find(broker, instrument)

    def _forget(self, broker: str) -> None:
        self._swaps[broker] = self._swaps.get(broker, 0) + 1
        # What one broker's list lacks may have been filled in from this one.
        self._cache.clear()
        for key in [key for key in self._contracts if key[0] == broker]:
            del self._contracts[key]


def _today() -> date:
    return ist(now_us()).date()


def _one_listing(names: Collection[str]) -> str | None:
    for exchange in ("NSE:", "BSE:"):
        here = [name for name in names if name.startswith(exchange)]
        if here:
            return here[0] if len(here) == 1 else None
    return None
