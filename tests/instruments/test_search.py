"""What is found by typed text and by filters, in which order, in real files."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from adapters.sdk.models import Exchange, InstrumentType, OptionType
from gateway.store.instruments import AmbiguousInstrument, Wanted
from gateway.store.master_terms import Series
from tests.instruments.support import (
    TODAY,
    contracts,
    future,
    ids,
    in_days,
    option,
    share,
)


async def load(store, *rows, broker="b"):
    await store.replace(broker, rows, ("exchange", "token"))


async def test_an_exact_symbol_comes_before_longer_ones_and_those_before_names(store):
    await load(
        store,
        share("SBICARD", "SBI CARDS"),
        share("MUTUAL", "SBI MUTUAL FUND"),
        share("SBI", "SOME BUSINESS INC"),
        share("SBIN", "STATE BANK OF INDIA"),
        share("OTHER", "NOT THIS ONE"),
    )

    assert ["NSE:SBI", "NSE:SBIN", "NSE:SBICARD", "NSE:MUTUAL"] == await ids(store, "sbi")


async def test_shares_come_before_futures_and_futures_before_options_nearest_first(store):
    near, far = in_days(3), in_days(30)
    await load(
        store,
        option("SBIN", far, "800"),
        option("SBIN", near, "800"),
        future("SBIN", far),
        future("SBIN", near),
        share("SBIN", exchange=Exchange.BSE),
        share("SBIN"),
    )

    found = await ids(store, "sbin")

    assert ["NSE:SBIN", "BSE:SBIN"] == found[:2]
    assert [future("SBIN", near).instrument, future("SBIN", far).instrument] == found[2:4]
    assert [option("SBIN", day, "800").instrument for day in (near, far)] == found[4:]


async def test_words_narrow_one_another_in_any_order(store):
    day = in_days(5)
    await load(
        store,
        *(
            option("NIFTY", day, strike, kind)
            for strike in ("24000", "24050")
            for kind in ("CE", "PE")
        ),
        future("NIFTY", day),
        share("SBIN", "STATE BANK OF INDIA"),
        share("BANKINDIA", "BANK OF INDIA"),
    )
    call = option("NIFTY", day, "24000").instrument

    assert [call] == await ids(store, "nifty 24000 ce")
    assert [call] == await ids(store, "ce 24000 nifty")
    assert [future("NIFTY", day).instrument] == await ids(store, f"nifty {day:%b} fut")
    assert ["NSE:SBIN"] == await ids(store, "sta ban")
    assert ["NSE:BANKINDIA", "NSE:SBIN"] == await ids(store, "bank")
    assert [] == await ids(store, "nifty bank")


async def test_every_beginning_of_a_symbol_finds_it_while_it_is_typed(store):
    await store.replace("b", contracts(3000))

    for typed in ("S", "SY", "SYN", "SYN0", "SYN00", "SYN000", "SYN0000", "SYN00003"):
        found = await ids(store, typed, limit=50)
        assert "NSE:SYN00003" in found, typed
    symbol = (await ids(store, "syn00003", type=InstrumentType.OPT))[0].partition(":")[2]
    for length in range(9, len(symbol) + 1):
        assert f"NFO:{symbol}" in await ids(store, symbol[:length], limit=500), symbol[:length]


@pytest.mark.parametrize("typed", ["m&m", "M&M", "mm", "NSE:M&M", "mahindra"])
async def test_signs_and_case_do_not_matter(store, typed):
    await load(store, share("M&M", "MAHINDRA & MAHINDRA LTD"), share("SBIN"))

    assert ["NSE:M&M"] == await ids(store, typed)


@pytest.mark.parametrize("typed", ['"', "a\"b' OR 1", "NEAR(a b)", "x*", "-", "s:*", "\x00", "é"])
async def test_no_text_breaks_the_search(store, typed):
    await load(store, share("SBIN"))

    assert isinstance(await ids(store, typed), list)


async def test_an_isin_finds_its_share(store):
    await load(store, share("SBIN", isin="INE062A01020"), share("INFY", isin="INE009A01021"))

    assert ["NSE:SBIN"] == await ids(store, "ine062a01020")


async def test_filters_and_text_work_together(store):
    await store.replace("b", contracts())
    day = (await store.expiries("NIFTY"))[0].expiry

    chain = await store.search(
        Wanted(underlying="NIFTY", type=InstrumentType.OPT, expiry=day), 500, TODAY
    )
    rows = [next(iter(listing.values())) for listing in chain]
    assert len(rows) > 10
    assert {("NIFTY", InstrumentType.OPT, day)} == {(r.underlying, r.type, r.expiry) for r in rows}
    strikes = [(row.strike, row.option_type) for row in rows]
    assert sorted(strikes) == strikes

    strike = rows[0].strike
    assert [rows[0].instrument] == await ids(
        store, "nif", strike=strike, option_type=OptionType.CE, expiry=day
    )
    assert [] == await ids(store, strike=Decimal("26050.5"))
    assert {"BSE"} == {
        each.partition(":")[0] for each in await ids(store, "s", exchange=Exchange.BSE)
    }
    series = Series(Exchange.NFO, InstrumentType.FUT, day)
    assert all(
        each.endswith("FUT") for each in await ids(store, underlying="NIFTY", series=(series,))
    )


async def test_a_strike_with_paise_is_not_the_one_without(store):
    day = in_days(5)
    await load(store, option("USDINR", day, "84.25"), option("USDINR", day, "8425"))

    assert [option("USDINR", day, "84.25").instrument] == await ids(store, strike=Decimal("84.250"))


async def test_an_expired_contract_is_not_found_after_its_day(store):
    await load(store, future("SBIN", in_days(-1)), future("SBIN", TODAY), share("SBIN"))
    today = future("SBIN", TODAY).instrument

    assert ["NSE:SBIN", today] == await ids(store, "sbin")
    assert [today] == await ids(store, underlying="SBIN")
    assert [] == await ids(store, future("SBIN", in_days(-1)).symbol)


async def test_a_contract_of_several_brokers_is_shown_once_with_each_ones_word(store):
    await load(store, share("SBIN", lot_size=1), share("ONLYA"), broker="a")
    await load(store, share("SBIN", lot_size=5), broker="b")

    (found,) = await store.search(Wanted(query="sbin"), 20, TODAY)

    assert {"a": 1, "b": 5} == {broker: item.lot_size for broker, item in found.items()}
    assert ["NSE:ONLYA"] == await ids(store, "only")


async def test_a_name_of_two_contracts_is_not_found_at_that_broker(store):
    twice = [share("SBIN", codes={"token": "1"}), share("SBIN", codes={"token": "2"})]
    await load(store, *twice, share("INFY"), broker="a")

    assert [] == await ids(store, "sbin")
    with pytest.raises(AmbiguousInstrument):
        await store.find("a", "NSE:SBIN")

    await load(store, share("SBIN"), broker="b")
    (found,) = await store.search(Wanted(query="sbin"), 20, TODAY)
    assert ["b"] == list(found)


async def test_the_limit_counts_contracts_and_not_brokers_rows(store):
    for broker in ("a", "b", "c"):
        await load(store, *(share(f"SYN{n:03d}") for n in range(100)), broker=broker)

    assert [f"NSE:SYN{n:03d}" for n in range(30)] == await ids(store, "syn", limit=30)


async def test_what_a_row_says_of_the_days_band_is_kept(store):
    row = share("SBIN", band_low=Decimal("700.05"), band_high=Decimal("900.00"))
    await load(store, row)

    assert row == await store.find("b", "NSE:SBIN")
    assert row == msgspec.structs.replace(row)
