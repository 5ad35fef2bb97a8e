"""What a test module says of its adapter, and the bench that every test gets."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import pytest_asyncio

from adapters.sdk.conformance.bench import Bench
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin, Capabilities
from adapters.sdk.models import Instrument, LoginStep, OtpRequired, RedirectRequired, Session
from adapters.sdk.simulator import BrokerSimulator, Contract

_AT_ONCE = {"book_lag_ms": 0, "ack_delay_ms": 0, "fill_delay_ms": 0}


class Setup:
    """How the suite gets an adapter, a simulator and a session. Override what differs.

    `plugin`: the plug-in under test, the only thing that every subclass has to set.
    `simulator_options`: for the simulator, beside those that make it answer at once.
    `login`: which of `login_kinds` to log in by, the first when None.
    `wire`: False for an adapter without a network between it and its exchange.
    `differs`: names of `BrokerOrder` fields that this broker shows otherwise than they were sent,
    each with the reason; none of them may be comparable.
    `filters`: reads whose answer holds rows that are none of ours, each with the source of that.
    `unproven_success`: bodies of a 2xx answer to an order that look like a success and have no
    order id, in the broker's own envelope.
    `statuses_that_refuse`: HTTP statuses that prove, whatever their body, that nothing was created,
    each with its source. `rate_limit_creates_nothing`, `dead_session_creates_nothing`: where it is
    proven that an answer of this kind created nothing, the source of that; empty everywhere else.
    """

    plugin: ClassVar[AdapterPlugin]
    simulator_options: ClassVar[Mapping[str, Any]] = {}
    login: ClassVar[str | None] = None
    wire: ClassVar[bool] = True
    differs: ClassVar[Mapping[str, str]] = {}
    filters: ClassVar[Mapping[str, str]] = {}
    unproven_success: ClassVar[tuple[str, ...]] = ()
    statuses_that_refuse: ClassVar[Mapping[int, str]] = {}
    rate_limit_creates_nothing: ClassVar[str] = ""
    dead_session_creates_nothing: ClassVar[str] = ""

    _masters: ClassVar[dict[str, dict[str, Instrument]]] = {}

    def make_simulator(self, **options: Any) -> BrokerSimulator:
        """Make the simulator, not started."""
        make = self.plugin.simulator
        if make is None:
            raise broken(
                Rule.FINISHED,
                f"the plug-in of {self.plugin.broker} has no `simulator`, and without one nothing"
                " of the adapter can be shown",
            )
        return make(options={**_AT_ONCE, **self.simulator_options, **options})

    def make_adapter(self, context: AdapterContext) -> Adapter:
        """Make the adapter."""
        return self.plugin.create(context)

    async def log_in(self, adapter: Adapter, simulator: BrokerSimulator) -> Session:
        """Log in as the account's owner would."""
        step = await adapter.begin_login(simulator.credentials)
        for _ in range(4):
            if isinstance(step, Session):
                return step
            step = await self.answer(adapter, simulator, step)
        raise broken(Rule.LOGIN, f"after four steps the login still asks for {step!r}")

    async def answer(
        self, adapter: Adapter, simulator: BrokerSimulator, step: LoginStep
    ) -> LoginStep:
        """Answer one step rightly."""
        if isinstance(step, OtpRequired):
            otp = await self.read_otp(simulator)
            return await adapter.submit_otp(simulator.credentials, step.pending, otp)
        if isinstance(step, RedirectRequired):
            url = await self.complete_login(simulator, step)
            return await adapter.submit_redirect(simulator.credentials, step.pending, url)
        return step

    async def read_otp(self, simulator: BrokerSimulator) -> str:
        """Read the one-time password: the simulator's `read_otp`, or the last that it made."""
        read = getattr(simulator, "read_otp", None)
        return str(await read()) if read is not None else simulator.otp or ""

    async def complete_login(self, simulator: BrokerSimulator, step: RedirectRequired) -> str:
        """Log in on the broker's page: the simulator's `complete_login`."""
        complete = getattr(simulator, "complete_login", None)
        if complete is None:
            raise broken(
                Rule.LOGIN,
                "the login redirects, but the simulator has no `async complete_login(step)` that"
                " logs in on the broker's page and returns the URL redirected to",
            )
        return str(await complete(step))

    def unlisted(self, instrument: Instrument, contract: Contract) -> Instrument:
        """Make an instrument that the broker does not list, by the look of one that it does."""
        token = re.compile(rf"\b{contract.token}\b")
        codes = {
            name: token.sub("987654321", code).replace(contract.symbol, "NOSUCH")
            for name, code in instrument.codes.items()
        }
        require(
            codes != instrument.codes,
            Rule.DECLARED,
            f"override `unlisted`: the codes {codes} do not show how a contract is named",
        )
        return msgspec.structs.replace(
            instrument,
            instrument=f"{instrument.exchange.value}:NOSUCH",
            symbol="NOSUCH",
            codes=codes,
            isin=None,
        )

    # What the tests get

    @property
    def capabilities(self) -> Capabilities:
        return self.plugin.capabilities

    @property
    def login_kind(self) -> str:
        return self.login or self.capabilities.login_kinds[0]

    def context(self, simulator: BrokerSimulator, timeout_s: float | None = None) -> AdapterContext:
        made = AdapterContext(
            account="conformance", base_urls=simulator.base_urls, login=self.login_kind
        )
        if timeout_s is None:
            return made
        return msgspec.structs.replace(made, answer_timeout_s=timeout_s, read_timeout_s=timeout_s)

    def needs_wire(self) -> None:
        """Leave a test out where there is no network between adapter and exchange."""
        if not self.wire:
            pytest.skip(f"{self.plugin.broker} has no wire: nothing can be lost on it")

    @pytest_asyncio.fixture
    async def outside(self) -> AsyncIterator[Bench]:
        """A bench that is not logged in and knows no instruments."""
        simulator = self.make_simulator()
        await simulator.start()
        made: list[Adapter] = []

        def make(timeout_s: float | None = None) -> Adapter:
            made.append(self.make_adapter(self.context(simulator, timeout_s)))
            return made[-1]

        try:
            bench = Bench(self.plugin, simulator, make)
            yield bench
            bench.heal()
        finally:
            for adapter in made:
                await adapter.close()
            await simulator.stop()

    @pytest_asyncio.fixture
    async def bench(self, outside: Bench) -> Bench:
        """A bench that is logged in and knows its instruments."""
        outside.session = await self.log_in(outside.adapter, outside.simulator)
        outside.instruments = await self.master(outside)
        outside.simulator.calls.clear()
        return outside

    async def master(self, bench: Bench) -> dict[str, Instrument]:
        """Read the simulator's master, once for the whole class."""
        key = f"{type(self).__module__}.{type(self).__qualname__}"
        if key not in self._masters:
            folder = Path(tempfile.mkdtemp(prefix="conformance-"))
            try:
                files = await bench.adapter.download_master(bench.session, folder)
                self._masters[key] = {
                    one.instrument: one for one in bench.adapter.read_master(files)
                }
            finally:
                shutil.rmtree(folder)
            require(self._masters[key], Rule.MASTER, "the master names no instrument")
        return self._masters[key]
