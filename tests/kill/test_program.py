"""The real program: its signal, its file, its command."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest

from tests.cli.conftest import DEADLINE_S, Program, home, program, read_until, stop

__all__ = ["home", "program"]


def state(home: Program) -> Any:
    return home.json("kill", "status")


def wait_until_engaged(home: Program, *, engaged: bool = True) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while (found := state(home))["engaged"] is not engaged:
        assert time.monotonic() < deadline, found
    return found


def test_signal_halts_everything_and_a_restart_keeps_it(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    served.send_signal(signal.SIGUSR1)

    switch = wait_until_engaged(home)["switches"][0]
    assert ("global", "HALT_NEW", "signal") == (switch["scope"], switch["level"], switch["source"])
    assert 0 == stop(served)
    assert "signal" == state(home)["switches"][0]["source"]
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    assert state(home)["engaged"]
    assert 0 == stop(served)


def test_engage_and_release_speak_to_the_running_gateway(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    done = home.json(
        "kill", "engage", "--scope", "account", "--target", "fyers-main", "--reason", "a test"
    )
    assert ("HALT_NEW", True, []) == (done["level"], done["persisted"], done["on_the_wire"])
    assert not (home.folder / "data/KILL").exists()
    refused = home.run("kill", "release", "--reason", "mended", "--confirm", "yes")
    assert (1, True) == (refused.returncode, "must be the word RELEASE" in refused.stderr)
    words = ("kill", "release", "--scope", "account", "--target", "fyers-main", "--reason", "ok!")
    released = home.run(*words, stdin="RELEASE\n")
    assert (0, True) == (released.returncode, "Nothing is engaged." in released.stdout)
    assert 0 == stop(served)


@pytest.mark.parametrize(("reason", "kept"), [(" ", "by hand"), ("x", "x"), ("y" * 600, "y" * 500)])
def test_stopping_is_never_refused_for_its_reason(home: Program, reason: str, kept: str) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    home.json("kill", "engage", "--reason", reason)

    assert kept == state(home)["switches"][0]["reason"]
    for short in ("no", " a ", "y" * 501):
        refused = home.run("kill", "release", "--reason", short, "--confirm", "RELEASE")
        assert (2, True) == (refused.returncode, "3 to 500 characters" in refused.stderr)
    assert 0 == stop(served)


def test_engage_writes_the_file_when_no_gateway_runs_and_the_next_one_obeys_it(
    home: Program,
) -> None:
    done = home.run("kill", "engage", "--reason", "smoke in the room")

    file = home.folder / "data/KILL"
    assert (0, True) == (done.returncode, str(file.relative_to(home.folder)) in done.stdout)
    assert "smoke in the room" in file.read_text()
    assert "kill_file" == state(home)["switches"][0]["source"]
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    refused = home.run("kill", "release", "--reason", "mended", "--confirm", "RELEASE")
    assert (1, True) == (refused.returncode, "remove the file" in refused.stderr)
    file.unlink()
    wait_until_engaged(home, engaged=False)
    assert 0 == stop(served)


def test_hung_gateway_gets_the_file(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    (home.folder / "data/control.sock").unlink()

    done = home.run("kill", "engage")

    assert 0 == done.returncode, done.stderr
    assert (home.folder / "data/KILL").exists()
    served.kill()


def test_file_that_is_less_than_asked_is_a_failure_said_so(home: Program) -> None:
    done = home.run("kill", "engage", "--level", "CANCEL_ALL", "--json")

    assert 1 == done.returncode
    assert "CANCEL_ALL needs a gateway" in done.stderr
    assert "HALT_NEW" == json.loads(done.stdout)["level"]
    assert (home.folder / "data/KILL").exists()


def test_stopped_gateway_can_be_released(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")
    home.json("kill", "engage")
    assert 0 == stop(served)
    assert state(home)["engaged"]

    home.json("kill", "release", "--reason", "mended", "--confirm", "RELEASE")

    assert not state(home)["engaged"]


def test_wrong_usage_is_told_before_anything_happens(home: Program) -> None:
    for words in (
        ("engage", "--scope", "account"),
        ("engage", "--target", "fyers-main"),
        ("engage", "--level", "STOP"),
        ("release",),
    ):
        assert 2 == home.run("kill", *words).returncode
    assert not (home.folder / "data/KILL").exists()


def test_unknown_target_is_refused_and_no_file_is_written(home: Program) -> None:
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    done = home.run("kill", "engage", "--scope", "account", "--target", "nobody")

    assert (1, True) == (done.returncode, "fyers" in done.stderr)
    assert not (home.folder / "data/KILL").exists()
    assert 0 == stop(served)
