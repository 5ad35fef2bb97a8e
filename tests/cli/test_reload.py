"""`brokergate config reload` and SIGHUP against the real program and its real file."""

from __future__ import annotations

import os
import signal
import time

from gateway.cli.client import HttpApi
from tests.cli.conftest import DEADLINE_S, Program, read_until, stop

HEAD = "\naccounts:\n"


def accounts(program: Program) -> list[str]:
    """Ask past the configuration, which may be broken just now."""
    reply = HttpApi(f"unix:{program.folder}/data/control.sock").call("GET", "/v1/accounts")
    return [row["account"] for row in reply.body["accounts"]]


def test_reload_by_command_and_by_signal(home: Program) -> None:
    config = home.folder / "brokergate.yaml"
    text = config.read_text()
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    assert "Nothing to change." in home.run("config", "reload").stdout

    config.write_text(text.replace(HEAD, HEAD + "  - {id: paper-one, broker: paper}\n"))
    done = home.json("config", "reload")
    assert (["paper-one"], []) == (done["added"], done["needs_restart"])

    config.write_text(text.replace(HEAD, HEAD + "  - {id: paper-two, broker: nobody}\n"))
    wrong = home.run("config", "reload")
    assert 1 == wrong.returncode
    assert "nobody" in wrong.stderr and "accounts[0].broker" in wrong.stderr
    assert "paper-one" in accounts(home)

    config.write_text(text.replace(HEAD, HEAD + "  - {id: paper-two, broker: paper}\n"))
    os.kill(served.pid, signal.SIGHUP)
    deadline = time.monotonic() + DEADLINE_S
    while "paper-two" not in accounts(home):
        assert time.monotonic() < deadline, home.log()
        time.sleep(0.1)
    assert "paper-one" not in accounts(home)
    assert 0 == stop(served)
