"""From a broker's own codes to the canonical id, with real files and real masters."""

from __future__ import annotations

from decimal import Decimal

import apsw
import msgspec
import pytest

from adapters.sdk.models import Exchange, Instrument, InstrumentType
from gateway.instruments import InstrumentService
from gateway.store.instruments import InstrumentStore, contract_of
from tests.gateway.rig import Rig

KEYS = ("exchange", "token")


@pytest.fixture
def store(tmp_path):
    store = InstrumentStore(tmp_path / "instruments.db")
    yield store
    store.close()


def listed(instrument: str, token: str, exchange: str = "NSE") -> Instrument:
    return Instrument(
        instrument=instrument,
        exchange=Exchange.NSE,
        symbol=instrument.partition(":")[2],
        name="any",
        type=InstrumentType.EQ,
        lot_size=1,
        tick_size=Decimal("0.05"),
        codes={"exchange": exchange, "token": token, "tradingsymbol": "X-EQ"},
    )


def name(token: str, exchange: str = "NSE") -> str:
    found = contract_of({"exchange": exchange, "token": token}, KEYS)
    assert found is not None
    return found


async def found(store: InstrumentStore, *contracts: str) -> dict[str, str]:
    rows = await store.find_contracts("b", contracts)
    return {contract: item.instrument for contract, item in rows.items()}


async def test_a_contract_is_found_by_all_of_its_codes_together(store):
    await store.replace("b", [listed("NSE:SBIN", "1"), listed("NSE:INFY", "1", "BSE")], KEYS)

    assert {name("1"): "NSE:SBIN", name("1", "BSE"): "NSE:INFY"} == await found(
        store, name("1"), name("1", "BSE"), name("2")
    )
    assert {} == await store.find_contracts("another", [name("1")])


async def test_a_contract_under_two_names_is_neither(store):
    await store.replace("b", [listed("NSE:SBIN", "1"), listed("NSE:SBIN2", "1")], KEYS)

    assert {} == await found(store, name("1"))


async def test_a_name_of_two_contracts_is_given_to_neither(store):
    rows = [listed("NSE:SBIN", "1"), listed("NSE:SBIN", "2"), listed("NSE:INFY", "3")]
    await store.replace("b", rows, KEYS)

    assert {name("3"): "NSE:INFY"} == await found(store, name("1"), name("2"), name("3"))


async def test_a_new_master_names_contracts_anew(store):
    await store.replace("b", [listed("NSE:SBIN", "1"), listed("NSE:INFY", "2")], KEYS)
    await store.replace("b", [listed("NSE:SBIN", "2"), listed("NSE:INFY", "1")], KEYS)

    assert {name("1"): "NSE:INFY", name("2"): "NSE:SBIN"} == await found(
        store, name("1"), name("2")
    )


async def test_a_load_that_died_leaves_no_names_behind(store):
    def torn():
        yield from (listed(f"NSE:A{n}", str(n)) for n in range(5000))
        raise ValueError("row 5000 is cut short")

    await store.replace("b", [listed("NSE:SBIN", "1")], KEYS)
    with pytest.raises(ValueError, match="row 5000"):
        await store.replace("b", torn(), KEYS)

    assert {name("1"): "NSE:SBIN"} == await found(store, name("1"), name("2"))


async def test_hundreds_of_contracts_are_found_at_once(store):
    await store.replace("b", (listed(f"NSE:A{n}", str(n)) for n in range(2500)), KEYS)

    rows = await found(store, *(name(str(n)) for n in range(1200)))

    assert {name(str(n)): f"NSE:A{n}" for n in range(1200)} == rows


def test_a_contract_without_one_of_its_codes_has_no_name():
    assert contract_of({"exchange": "NSE"}, KEYS) is None
    assert contract_of({"exchange": "NSE", "token": ""}, KEYS) is None
    assert contract_of({"exchange": "NSE", "token": "1"}, ()) is None


async def test_a_file_of_an_older_format_is_fetched_again(tmp_path):
    path = tmp_path / "instruments.db"
    old = apsw.Connection(str(path))
    old.execute(
        "CREATE TABLE masters (broker TEXT PRIMARY KEY, generation, rows, loaded_us) WITHOUT ROWID;"
        "CREATE TABLE instruments (instrument, broker, generation, data);"
        "INSERT INTO masters VALUES ('b', 1, 1, 1)"
    )
    old.close()
    store = InstrumentStore(path)
    try:
        assert [] == await store.info()
        assert 1 == await store.replace("b", [listed("NSE:SBIN", "1")], KEYS)
        assert {name("1"): "NSE:SBIN"} == await found(store, name("1"))
    finally:
        store.close()


@pytest.mark.parametrize("broker", ["fyers", "mstock", "hdfc"])
async def test_every_brokers_master_leads_from_its_codes_back_to_its_names(tmp_path, broker):
    async with Rig(tmp_path / "data", brokers=(broker,)) as rig:
        account = rig.gateway.accounts[f"{broker}-main"]
        service = rig.gateway.instruments
        for instrument in ("NSE:SBIN", "BSE:SBIN", "NSE:M&M"):
            item = await service.find(broker, instrument)
            if item is None:
                continue
            # Twice: from the file, then from the cache.
            for _ in range(2):
                (back,) = await service.find_contracts(account, [item.codes])
                assert back == item

        assert [None, None] == await service.find_contracts(account, [{}, {"symbol": "NSE:NO-EQ"}])


def share(instrument: str, isin: str | None, **changes: object) -> Instrument:
    row = listed(instrument, instrument)
    return msgspec.structs.replace(row, isin=isin, **changes)  # type: ignore[arg-type]


@pytest.fixture
def service(store, tmp_path):
    return InstrumentService(store, {}, tmp_path)


async def test_an_isin_names_the_share_at_nse_before_bse(store, service):
    rows = [share("BSE:SBIN", "INE1"), share("NSE:SBIN", "INE1"), share("BSE:ONLY", "INE2")]
    await store.replace("b", rows, KEYS)

    assert {"INE1": "NSE:SBIN", "INE2": "BSE:ONLY"} == await service.find_isins(
        "b", ["INE1", "INE2", "INE3"]
    )
    assert {} == await service.find_isins("b", [])


async def test_an_isin_under_two_names_of_one_exchange_names_neither(store, service):
    rows = [share("NSE:SBIN", "INE1"), share("NSE:SBINBE", "INE1"), share("BSE:SBIN", "INE1")]
    await store.replace("b", rows, KEYS)

    assert {} == await service.find_isins("b", ["INE1"])


async def test_an_isin_that_the_brokers_own_master_lacks_is_looked_up_in_the_others(store, service):
    await store.replace("b", [share("NSE:SBIN", None)], KEYS)
    await store.replace("other", [share("NSE:SBIN", "INE1")], KEYS)

    assert {"INE1": "NSE:SBIN"} == await service.find_isins("b", ["INE1"])


async def test_an_isin_on_a_derivative_names_nothing(store, service):
    await store.replace("b", [share("NFO:X", "INE1", type=InstrumentType.FUT)], KEYS)

    assert {} == await service.find_isins("b", ["INE1"])


async def test_a_new_master_takes_the_isins_of_the_old_one_away(store, service):
    await store.replace("b", [share("NSE:SBIN", "INE1")], KEYS)
    await store.replace("b", [share("NSE:SBIN", "INE2")], KEYS)

    assert {"INE2": "NSE:SBIN"} == await service.find_isins("b", ["INE1", "INE2"])
