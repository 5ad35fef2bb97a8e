"""`brokergate alerts` as a real program, on a stopped gateway and on a running one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.conftest import Program, read_until, stop


class Hook(BaseHTTPRequestHandler):
    got: list[str] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append(self.headers["Brokergate-Signature"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    Hook.got = []
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_secret_list_and_test(home: Program, hook: HTTPServer) -> None:
    config = home.folder / "brokergate.yaml"
    url = f"http://127.0.0.1:{hook.server_port}/"
    with config.open("a") as file:
        file.write(f"\nalerts: {{webhooks: [{{name: phone, url: '{url}'}}]}}\n")
    assert "missing" in home.run("alerts", "list").stdout
    unset = home.run("alerts", "secret", "nobody")
    assert (1, True) == (unset.returncode, "phone" in unset.stderr)
    made = home.json("alerts", "secret", "phone")
    assert made["secret"].startswith("bgwh_")
    assert made["secret"] not in home.run("alerts", "list", "--json").stdout
    served = home.start("serve", "--port", "0")
    read_until(served, "ready on")

    done = home.run("alerts", "test")

    assert (0, "phone: delivered\n") == (done.returncode, done.stdout), done.stderr
    assert 1 == len(Hook.got)
    wrong = home.run("alerts", "test", "nobody")
    assert (1, True) == (wrong.returncode, "phone" in wrong.stderr)
    assert 0 == stop(served)
