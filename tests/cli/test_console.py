from __future__ import annotations

from tests.cli.conftest import PROGRAM, Program, read_until
from tests.cli.terminal import paint_until


def test_console_starts_without_options_and_shows_the_accounts(home: Program) -> None:
    read_until(home.start("serve", "--port", "0"), "ready on")

    paint_until(home, [*PROGRAM, "console"], "fyers-main")
