"""The instrument master: everything in it, streamed, and nothing of a damaged one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.sdk.conformance.base import Setup
from adapters.sdk.conformance.bench import Bench
from adapters.sdk.conformance.rules import Rule, broken, require
from adapters.sdk.errors import GatewayError, LoginExpired
from adapters.sdk.models import Instrument
from adapters.sdk.simulator import Contract

_ROWS = 20_000
_MOST_BYTES = 4 * 1024 * 1024


def _cut_short(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _web_page(_: bytes) -> bytes:
    return b"<html><head><title>Not found</title></head><body>Not found</body></html>"


def _empty(_: bytes) -> bytes:
    return b""


_DAMAGES: tuple[Callable[[bytes], bytes], ...] = (_cut_short, _web_page, _empty)


class MasterTests(Setup):
    """Masters."""

    async def test_master_names_every_contract_in_our_terms(self, bench: Bench) -> None:
        codes: dict[tuple[str | None, ...], str] = {}
        for contract in bench.simulator.universe.contracts(*self.capabilities.exchanges):
            if not contract.is_tradable:
                continue
            listed = bench.instruments.get(contract.instrument)
            if listed is None:
                raise broken(
                    Rule.MASTER, f"the master of the simulator has no {contract.instrument}"
                )
            _is_the_contract(listed, contract)
        keys = self.capabilities.code_keys
        for listed in bench.instruments.values():
            name = tuple(listed.codes.get(key) for key in keys)
            require(
                not keys or None not in name,
                Rule.MASTER,
                f"{listed.instrument} has no code for one of code_keys {keys}",
            )
            require(
                not keys or codes.setdefault(name, listed.instrument) == listed.instrument,
                Rule.MASTER,
                f"{listed.instrument} and {codes.get(name)} have the same codes {name}",
            )

    async def test_master_is_read_row_by_row(self, tmp_path: Path) -> None:
        simulator = self.make_simulator(rows=_ROWS)
        await simulator.start()
        adapter = self.make_adapter(self.context(simulator))
        try:
            session = await self.log_in(adapter, simulator)
            files = await adapter.download_master(session, tmp_path)
            require(files, Rule.MASTER, "download_master returns no file")
            size = sum(path.stat().st_size for path in files)
            tracemalloc.start()
            try:
                rows = sum(1 for _ in adapter.read_master(files))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        finally:
            await adapter.close()
            await simulator.stop()
        require(rows > _ROWS // 2, Rule.MASTER, f"of {_ROWS} rows, {rows} were read")
        require(
            peak < _MOST_BYTES,
            Rule.MASTER,
            f"reading {size / 1e6:.1f} MB took {peak / 1e6:.1f} MB of memory at its peak: yield"
            " each row and keep none",
        )

    @pytest.mark.parametrize("damage", _DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
    async def test_damaged_master_is_an_error(
        self, bench: Bench, tmp_path: Path, damage: Callable[[bytes], bytes]
    ) -> None:
        files = await bench.adapter.download_master(bench.session, tmp_path)
        for path in files:
            content = path.read_bytes()
            path.write_bytes(damage(content))
            try:
                rows = sum(1 for _ in bench.adapter.read_master(files))
            except ValueError as error:
                require(
                    path.name in str(error),
                    Rule.MASTER,
                    f"the error of a damaged {path.name} does not name the file: {error}",
                )
            except Exception as error:
                raise broken(
                    Rule.MASTER, f"a damaged {path.name} is ValueError, not {error!r}"
                ) from error
            else:
                raise broken(
                    Rule.MASTER,
                    f"a damaged {path.name} ({damage.__name__.strip('_')}) is read as {rows} rows",
                )
            path.write_bytes(content)

    async def test_master_with_a_renamed_column_is_an_error(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        files = await bench.adapter.download_master(bench.session, tmp_path)
        for path in files:
            content = path.read_bytes()
            renamed = self.rename_columns(content)
            if renamed == content:
                continue
            path.write_bytes(renamed)
            try:
                rows = sum(1 for _ in bench.adapter.read_master(files))
            except ValueError:
                path.write_bytes(content)
                continue
            except Exception as error:
                raise broken(
                    Rule.MASTER, f"renamed columns in {path.name} are ValueError, not {error!r}"
                ) from error
            raise broken(Rule.MASTER, f"{path.name} with other columns is read as {rows} rows")

    def rename_columns(self, content: bytes) -> bytes:
        """Rename every column of a master; override for a format that has no names."""
        if content.lstrip()[:1] in (b"{", b"["):
            return content.replace(b'":', b'_renamed":')
        header, newline, rest = content.partition(b"\n")
        return header.replace(b",", b"_renamed,") + newline + rest

    @pytest.mark.parametrize(
        "action",
        [
            "accept_then_truncated",
            "accept_then_html",
            "accept_then_empty",
            "status",
            "accept_then_reset",
        ],
    )
    async def test_download_that_fails_leaves_no_master(
        self, bench: Bench, tmp_path: Path, action: str
    ) -> None:
        self.needs_wire()
        bench.strike("master", action, count=None)
        try:
            files = await bench.adapter.download_master(bench.session, tmp_path)
        except GatewayError as error:
            bench.keeps_secrets(error)
            return
        try:
            rows = sum(1 for _ in bench.adapter.read_master(files))
        except ValueError:
            return
        raise broken(Rule.MASTER, f"a download that failed ({action}) is read as {rows} rows")

    async def test_master_without_a_login_is_read_or_asks_for_one(
        self, outside: Bench, tmp_path: Path
    ) -> None:
        try:
            files = await outside.adapter.download_master(None, tmp_path)
        except LoginExpired:
            return
        except GatewayError as error:
            raise broken(
                Rule.MASTER, f"a master that needs a login raises LoginExpired, not {error!r}"
            ) from error
        require(files, Rule.MASTER, "download_master returns no file")


def _is_the_contract(listed: Instrument, contract: Contract) -> None:
    wanted = {
        "exchange": contract.exchange,
        "type": contract.type,
        "lot_size": contract.lot_size,
        "tick_size": contract.tick_size,
        "expiry": contract.expiry,
        "strike": contract.strike,
        "option_type": contract.option_type,
    }
    if contract.is_derivative:
        wanted["underlying"] = contract.underlying
    for name, value in wanted.items():
        require(
            getattr(listed, name) == value,
            Rule.MASTER,
            f"{contract.instrument}: {name} is {value!r}, the master says"
            f" {getattr(listed, name)!r}",
        )
    require(listed.codes, Rule.MASTER, f"{contract.instrument} has no codes of the broker")
