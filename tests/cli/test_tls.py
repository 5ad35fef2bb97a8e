"""`brokergate tls`, and the commands that use what it makes against a gateway elsewhere."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli.ports import free_port
from tests.cli.conftest import DEADLINE_S, PROGRAM, Program, read_until, stop
from tests.cli.terminal import paint_until
from tests.tls.files import Folder

FILES = {"ca.crt", "ca.key", "server.crt", "server.key"}


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def configure(
    program: Program, tls: str, *, port: int | None = None, host: str = "127.0.0.1"
) -> int:
    """Write a configuration that serves with these TLS settings; returns the port."""
    port = port or free_port("127.0.0.1")
    (program.folder / "brokergate.yaml").write_text(
        f"data_dir: ./data\nserver: {{host: {host}, port: {port}, tls: {{{tls}}}}}\naccounts: []\n"
    )
    return port


class Secured:
    """A gateway with everything that `tls init` made, asking clients for certificates."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.made = program.json("tls", "init", "--host", "gate.lan")
        tls = "cert: tls/server.crt, key: tls/server.key, client_ca: tls/ca.crt"
        self.port = configure(program, tls)
        self.key_file = program.folder / "api.key"
        made = program.json("keys", "create", "--name", "t", "--scope", "admin")
        self.key_file.write_text(made["key"])
        self.url = f"https://localhost:{self.port}"
        self.served = program.start("serve")
        [line] = read_until(self.served, "ready on")
        assert f"https://127.0.0.1:{self.port}" in line

    def options(self, *left_out: str, **instead: str) -> list[str]:
        tls = self.program.folder / "tls"
        given = {
            "--url": self.url,
            "--key-file": str(self.key_file),
            "--ca": str(tls / "ca.crt"),
            "--client-cert": str(tls / "client-operator.crt"),
            "--client-key": str(tls / "client-operator.key"),
        }
        given |= {"--" + name.replace("_", "-"): value for name, value in instead.items()}
        pairs = ((name, value) for name, value in given.items() if name not in left_out)
        return [word for pair in pairs for word in pair]


@pytest.fixture
def secured(home: Program) -> Secured:
    return Secured(home)


def test_init_makes_a_ca_a_server_and_a_client_that_only_the_owner_can_read(
    program: Program,
) -> None:
    done = program.run("tls", "init", "--host", "gate.lan", "--host", "203.0.113.7")

    assert (0, "") == (done.returncode, done.stderr)
    found = modes(program.folder / "tls")
    assert FILES | {"client-operator.crt", "client-operator.key"} == set(found)
    assert {0o600} == set(found.values())
    assert 0o700 == stat.S_IMODE((program.folder / "tls").stat().st_mode)
    for words in ("gate.lan, 203.0.113.7, localhost", "client_ca:", "curl --cacert"):
        assert words in done.stdout
    assert "PRIVATE KEY" not in done.stdout


def test_init_overwrites_nothing(program: Program) -> None:
    program.run("tls", "init")
    before = {file: file.read_bytes() for file in (program.folder / "tls").iterdir()}

    again = program.run("tls", "init")

    assert 1 == again.returncode
    assert "nothing was changed" in again.stderr
    assert "brokergate tls renew" in again.stderr
    assert before == {file: file.read_bytes() for file in (program.folder / "tls").iterdir()}


@pytest.mark.parametrize("host", ["not a host", "1.2.3", "-x", "http://gate.lan"])
def test_init_refuses_what_is_no_host(program: Program, host: str) -> None:
    done = program.run("tls", "init", "--host", host)

    assert 2 == done.returncode
    assert "neither a host name nor an address" in done.stderr
    assert not (program.folder / "tls").exists()


def test_a_client_more_needs_the_ca_and_overwrites_nothing(program: Program) -> None:
    assert "brokergate tls init" in program.run("tls", "client", "phone").stderr
    program.run("tls", "init")

    made = program.json("tls", "client", "phone")
    again = program.run("tls", "client", "phone")

    names = ["client-phone.crt", "client-phone.key"]
    assert names == [Path(file).name for file in made["files"]]
    assert 1 == again.returncode
    assert "nothing was changed" in again.stderr
    bad = program.run("tls", "client", "../phone")
    assert (2, True) == (bad.returncode, "letters, digits" in bad.stderr)


def test_the_help_teaches(program: Program) -> None:
    shown = program.run("tls", "--help").stdout + program.run("tls", "init", "--help").stdout

    for words in ("they trust ca.crt", "without a restart", "mode 0600", "Overwrites"):
        assert words in shown


def test_the_printed_curl_line_works(program: Program) -> None:
    port = free_port("127.0.0.1")
    (program.folder / "brokergate.yaml").write_text(
        f"data_dir: ./data\nserver: {{port: {port}}}\naccounts: []\n"
    )
    shown = program.run("tls", "init").stdout
    # What is printed is put into the file as it stands, but for the address.
    section = shown[shown.index("server:") : shown.index("Then, on this machine")]
    section = re.sub("host: 0.0.0.0 .*", f"host: 127.0.0.1\n  port: {port}", section)
    (program.folder / "brokergate.yaml").write_text(f"data_dir: ./data\n{section}accounts: []\n")
    program.run("vault", "list")
    environ = {"BROKERGATE_MASTER_KEY": "A" * 43}
    program.environ |= environ
    read_until(program.start("serve"), "ready on")

    [line] = [line.strip() for line in shown.splitlines() if line.strip().startswith("curl ")]
    said = subprocess.run(
        [*shlex.split(line), "-sS"], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )

    assert ("ok\n", "") == (said.stdout, said.stderr)


def test_commands_reach_a_gateway_that_asks_for_client_certificates(secured: Secured) -> None:
    done = secured.program.run("keys", "list", *secured.options())

    assert (0, "") == (done.returncode, done.stderr)
    assert " t " in done.stdout


def test_the_tls_files_are_taken_from_the_environment_too(secured: Secured) -> None:
    environ = environ_of(secured)

    done = secured.program.run("keys", "list", env=environ)

    assert (0, "") == (done.returncode, done.stderr)
    assert " t " in done.stdout


def test_the_python_client_takes_them_too(secured: Secured) -> None:
    program = "from gateway.client import Client; print(Client.from_environment().sessions())"
    environ = secured.program.environ | environ_of(secured)

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert "[]\n" == done.stdout, done.stderr


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        (("--ca",), "name the CA that signed the gateway's certificate with --ca"),
        (("--client-cert", "--client-key"), "--client-cert and --client-key"),
        (("--client-key",), "go together"),
    ],
)
def test_what_is_missing_is_told(secured: Secured, left_out: tuple[str, ...], words: str) -> None:
    done = secured.program.run("keys", "list", *secured.options(*left_out))

    assert 0 != done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_of_another_ca_is_told_so(secured: Secured, tmp_path: Path) -> None:
    cert, key = Folder(tmp_path, "stranger").client()

    options = secured.options(client_cert=str(cert), client_key=str(key))
    done = secured.program.run("keys", "list", *options)

    assert 1 == done.returncode
    assert "does not take this client certificate" in done.stderr


def test_tls_options_without_a_gateway_elsewhere_are_wrong_usage(home: Program) -> None:
    done = home.run("keys", "list", "--ca", "x")

    assert 2 == done.returncode
    assert "--ca goes with --url" in done.stderr


def test_the_console_looks_at_a_gateway_elsewhere_over_mtls(secured: Secured) -> None:
    paint_until(secured.program, [*PROGRAM, "console", *secured.options()], "No account")


def test_a_renewed_certificate_is_served_and_the_doctor_says_so(secured: Secured) -> None:
    program = secured.program
    before = (program.folder / "tls" / "server.crt").read_bytes()

    renewed = program.json("tls", "renew", "--days", "20")

    assert before != (program.folder / "tls" / "server.crt").read_bytes()
    assert {"gate.lan", "localhost"} <= set(renewed["hosts"])
    wait_for(lambda: "new certificate in use" in program.log())
    assert 0 == program.run("keys", "list", *secured.options()).returncode
    checks = {each["name"]: each for each in program.json("doctor")["checks"]}
    assert checks["TLS in use"]["ok"]
    # Twenty days are fewer than the thirty from which on it warns.
    assert checks["TLS"]["ok"] is None
    assert "(19 days)" in checks["TLS"]["detail"]
    assert "brokergate tls renew" in checks["TLS"]["fix"]
    # It warns at once, and everybody who listens for alarms hears of it.
    wait_for(lambda: "renew it" in program.log())
    told = program.run("audit", "tail", "--kind", "alarm", "--json").stdout
    assert "certificate_ends" in told
    assert 0 == stop(secured.served)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("expired", ["server.tls.cert: the certificate expired", "tls renew"]),
        ("mismatch", ["server.tls.key: ", "is not the key of the certificate"]),
        ("open", ["server.tls.key: ", "mode 0644", "chmod 600"]),
        ("rubbish", ["server.tls.cert: ", "no certificate in PEM form"]),
        ("no ca", ["server.tls.client_ca: ", "no certificate of a CA"]),
    ],
)
def test_files_that_do_not_work_are_refused_at_start_and_told_by_doctor(
    home: Program, wrong: str, words: list[str]
) -> None:
    folder = Folder(home.folder / "tls")
    cert, key = folder.expired() if wrong == "expired" else folder.server()
    if wrong == "mismatch":
        _, key = folder.server("other")
    elif wrong == "open":
        key.chmod(0o644)
    elif wrong == "rubbish":
        cert.write_text("hello")
    ca = f", client_ca: {cert}" if wrong == "no ca" else ""
    configure(home, f"cert: {cert}, key: {key}{ca}")

    served = home.run("serve")
    doctor = home.run("doctor")
    checked = home.run("config", "check")

    assert (1, 1, 1) == (served.returncode, doctor.returncode, checked.returncode)
    for word in words:
        assert word in served.stderr
        assert word in doctor.stdout
        assert word in checked.stdout
    assert "Traceback" not in served.stderr


@pytest.mark.parametrize(
    ("host", "tls", "words"),
    [
        ("0.0.0.0", "", "server.host: 0.0.0.0 is reachable from other machines"),
        ("127.0.0.1", "cert: tls/server.crt", "server.tls.cert: has no key beside it"),
        ("127.0.0.1", "key: tls/server.key", "server.tls.key: has no cert beside it"),
        ("127.0.0.1", "client_verify: true", "server.tls.client_verify: is true, and there is no"),
        (
            "127.0.0.1",
            "cert: tls/server.crt, key: tls/server.key, client_verify: true",
            "Set server.tls.client_ca to the CA's certificate",
        ),
        ("127.0.0.1", "cert: tls/none.crt, key: tls/server.key", "there is no file"),
        ("127.0.0.1", "min_version: 1.1", "is none of its values"),
    ],
)
def test_half_a_configuration_is_refused_with_the_setting_and_the_fix(
    home: Program, host: str, tls: str, words: str
) -> None:
    Folder(home.folder / "tls").server()
    configure(home, tls, host=host)

    done = home.run("serve")

    assert 1 == done.returncode
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def environ_of(secured: Secured) -> dict[str, str]:
    words = dict(zip(*[iter(secured.options())] * 2, strict=True))
    return {
        "BROKERGATE_" + name[2:].replace("-", "_").upper(): value for name, value in words.items()
    }


def wait_for(is_so) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_client_certificate_that_the_list_takes_back_is_shut_out(home: Program) -> None:
    folder = Folder(home.folder / "pki")
    cert, key = folder.server()
    lost, kept = folder.client("lost"), folder.client("kept")
    crl = folder.revoking(lost[0])
    tls = f"cert: {cert}, key: {key}, client_ca: {folder.ca}, client_crl: {crl}"
    port = configure(home, tls)
    made = home.json("keys", "create", "--name", "t", "--scope", "admin")
    (home.folder / "api.key").write_text(made["key"])
    served = home.start("serve")
    read_until(served, "ready on")

    def listed(client: tuple[Path, Path]) -> int:
        there = ("--url", f"https://localhost:{port}", "--key-file", "api.key")
        own = ("--ca", str(folder.ca), "--client-cert", str(client[0]), "--client-key")
        return home.run("keys", "list", *there, *own, str(client[1])).returncode

    assert [1, 0] == [listed(lost), listed(kept)]
    folder.revoking(lost[0], kept[0])
    deadline = time.monotonic() + 2 * DEADLINE_S
    while listed(kept) == 0:
        assert time.monotonic() < deadline, "the new list was not taken up"
        time.sleep(0.1)
    assert 0 == stop(served)
    crl.write_text("no list")
    refused = home.run("serve")
    assert (1, True) == (refused.returncode, "server.tls.client_crl" in refused.stderr)
