from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest

from tests.cli.conftest import Program, children_of, read_until, stop, wait_until_gone


def test_once_shows_three_accepted_legs_and_leaves_nothing_behind(program: Program) -> None:
    done = program.run("demo", "--once", "--port", "0")

    assert done.returncode == 0, done.stderr
    for account in ("fyers-main", "mstock-main", "hdfc-main"):
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"│ {account}"))
        assert "accepted" in row
        assert "10/10" in row
    assert "✓ Start the gateway" in done.stdout
    assert [] == list(program.scratch.iterdir())


def test_json_on_stdout_is_the_collated_answer_and_nothing_else(program: Program) -> None:
    answer = program.json("demo", "--once", "--port", "0")

    assert "accepted" == answer["summary"]
    assert ["fyers", "mstock", "hdfc"] == [leg["broker"] for leg in answer["legs"]]
    assert all(leg["broker_order_id"] for leg in answer["legs"])


def test_once_fails_when_an_account_refuses(program: Program) -> None:
    script = (
        "import sys; from gateway.cli.demo.scene import ORDER; from gateway.cli.main import main\n"
        "ORDER['price'] = '1.00'\n"
        "sys.argv = ['brokergate', 'demo', '--once', '--port', '0']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=program.folder,
        env=program.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert 1 == done.returncode
    assert "not every account accepted the order" in done.stderr
    assert "rejected" in done.stdout
    assert [] == list(program.scratch.iterdir())


def test_taken_port_is_said_with_the_option_to_use(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = program.run("demo", "--once", "--port", str(port))

    assert 1 == done.returncode
    assert str(port) in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list(program.scratch.iterdir())


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_while_serving_ends_every_process_and_the_scratch(
    program: Program, with_signal: int
) -> None:
    demo = program.start("demo", "--port", "0")
    read_until(demo, "Ctrl-C ends the demo")
    children = children_of(demo.pid)
    assert 1 == len(children)
    assert [] != list(program.scratch.iterdir())

    assert 0 == stop(demo, with_signal)

    wait_until_gone(children)
    assert [] == list(program.scratch.iterdir())
    assert "" == program.log()


@pytest.mark.parametrize("after", ["Start three simulators", "Start the gateway", "Log in hdfc"])
def test_signal_while_starting_ends_every_process_and_the_scratch(
    program: Program, after: str
) -> None:
    demo = program.start("demo", "--once", "--port", "0")
    read_until(demo, after)
    children = children_of(demo.pid)

    assert 1 == stop(demo)

    wait_until_gone(children)
    assert [] == list(program.scratch.iterdir())
    assert "brokergate: stopped" == program.log().strip()


def test_simulators_end_with_a_gateway_that_was_killed(program: Program) -> None:
    demo = program.start("demo", "--port", "0")
    read_until(demo, "Ctrl-C ends the demo")
    children = children_of(demo.pid)

    stop(demo, signal.SIGKILL)

    wait_until_gone(children)


def test_curl_line_works_when_pasted_and_twice_is_the_same_order(program: Program) -> None:
    demo = program.start("demo", "--port", "0")
    lines = read_until(demo, "Ctrl-C ends the demo")
    curl = next(line for line in lines if line.startswith("curl "))

    first, second = (
        json.loads(subprocess.check_output(["bash", "-c", curl], text=True)) for _ in range(2)
    )

    assert "accepted" == first["summary"]
    assert 3 == len(first["legs"])
    assert first["order_id"] == second["order_id"]
