"""`brokergate instruments` and the doctor's word on the masters, against a real program."""

from __future__ import annotations

import apsw

from tests.cli.conftest import Program
from tests.cli.test_practice import Practice


def test_instruments_are_searched_and_fetched_from_the_terminal(program: Program) -> None:
    practice = Practice(program, "mstock")
    practice.log_in()
    first = program.json("instruments", "refresh", "mstock")["masters"]["mstock"]
    assert first["ok"] is True

    again = program.run("instruments", "refresh")
    found = program.run("instruments", "search", "sbi", "--exchange", "nse")
    nearest = ["--underlying", "NIFTY", "--type", "FUT", "--expiry", "nearest"]
    (future,) = program.json("instruments", "search", *nearest)["instruments"]
    nothing = program.run("instruments", "search", "qqqqqq")
    wrong = program.run("instruments", "search", "--strike", "high")

    assert (0, True) == (again.returncode, "nothing changed" in again.stdout), again.stderr
    assert "NSE:SBIN" in found.stdout.splitlines()[1]
    assert ("NIFTY", "FUT") == (future["underlying"], future["type"])
    assert (1, True) == (nothing.returncode, "No instrument matches." in nothing.stdout)
    assert (1, True) == (wrong.returncode, "strike must be a price" in wrong.stderr)


def test_the_doctor_tells_a_stale_master(program: Program) -> None:
    practice = Practice(program, "mstock")
    practice.log_in()
    assert program.json("instruments", "refresh")["masters"]["mstock"]["ok"] is True
    practice.stop()
    fresh = program.run("doctor").stdout
    file = apsw.Connection(str(program.folder / "data" / "instruments.db"))
    file.execute("UPDATE masters SET loaded_us = loaded_us - 9 * 86400 * 1000000")
    file.close()

    stale = program.run("doctor").stdout

    assert "(stale)" not in fresh
    assert "(stale)" in stale
    assert "brokergate instruments refresh" in stale
