"""What a newcomer gets wrong is told with the way out of it, and changes nothing."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from gateway.cli.client import HttpApi
from gateway.cli.failure import Failure
from gateway.store import DataDirLock, DataDirUnusable
from gateway.store.lock import why_unusable
from tests.cli.conftest import Program, read_until
from tui.link.http import Unreachable, Where, call

GROUPS = ["config", "vault", "tls", "keys", "alerts", "kill", "instruments", "audit", "adapter"]
READS = ["orders", "keys list", "vault list", "kpi", "audit tail", "audit verify", "kill status"]


@pytest.mark.parametrize(
    ("typed", "meant"), [(["dmo"], "demo"), (["vualt", "list"], "vault"), (["keys", "lst"], "list")]
)
def test_mistyped_command_is_told_the_nearest(
    program: Program, typed: list[str], meant: str
) -> None:
    done = program.run(*typed)

    assert 2 == done.returncode
    assert f"Did you mean {meant}" in done.stderr


def test_command_like_no_other_is_told_which_there_are(program: Program) -> None:
    done = program.run("kill", "xyzzy")

    assert 2 == done.returncode
    assert "There are engage, " in done.stderr


def test_version_is_also_an_option(program: Program) -> None:
    assert program.run("version").stdout == program.run("--version").stdout


@pytest.mark.parametrize("command", READS)
def test_reading_makes_no_data_directory(home: Program, command: str) -> None:
    home.folder.joinpath("data").rename(home.folder / "elsewhere")

    done = home.run(*command.split())

    assert 1 == done.returncode
    assert f"{home.folder}/data holds no journal" in done.stderr
    assert "brokergate serve" in done.stderr
    assert not home.folder.joinpath("data").exists()


@pytest.mark.parametrize("command", [*READS, "serve --port 0", "kill engage"])
def test_data_directory_that_is_a_file_is_told_so(home: Program, command: str) -> None:
    home.folder.joinpath("data").rename(home.folder / "elsewhere")
    home.folder.joinpath("data").write_text("x")

    done = home.run(*command.split())

    assert 1 == done.returncode
    assert "data is a file, not a folder" in done.stderr
    assert "unexpected" not in done.stderr
    assert "x" == home.folder.joinpath("data").read_text()


def test_doctor_says_that_the_data_directory_cannot_be_used(home: Program) -> None:
    home.folder.joinpath("data").rename(home.folder / "elsewhere")
    home.folder.joinpath("data").write_text("x")

    done = home.run("doctor", "--offline")

    assert 1 == done.returncode
    assert "BAD   data directory out of reach" in done.stdout


def test_data_directory_that_cannot_be_made_is_told_with_the_setting(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")

    with pytest.raises(DataDirUnusable, match="data_dir") as caught:
        DataDirLock(tmp_path / "file" / "data").acquire()

    assert "[Errno" not in str(caught.value)


def test_data_directory_of_another_user_is_told_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 54321)

    words = why_unusable(tmp_path, PermissionError(13, "Permission denied"))

    assert f"{tmp_path} belongs to the user {tmp_path.owner()}" in words
    assert f"sudo -u {tmp_path.owner()} brokergate" in words


def test_stopped_gateway_is_told_by_its_socket(home: Program, tmp_path: Path) -> None:
    done = home.run("health")
    with pytest.raises(Failure, match="is another user's"):
        _refuse(HttpApi(f"unix:{tmp_path}/s"))

    assert 1 == done.returncode
    assert "start it with `brokergate serve`" in done.stderr
    assert "Errno" not in done.stderr


def _refuse(api: HttpApi) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _denied)
        api.call("GET", "/livez")


def _denied(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_backup_into_no_folder_is_told_the_folder(home: Program) -> None:
    done = home.run("backup", "nowhere/monday.tar")

    assert 1 == done.returncode
    assert f"there is no folder {home.folder}/nowhere" in done.stderr


def test_restore_of_no_file_is_told_the_file(home: Program) -> None:
    home.folder.joinpath("data").rename(home.folder / "elsewhere")

    done = home.run("restore", "monday.tar")

    assert (1, "brokergate: monday.tar: No such file or directory\n") == (
        done.returncode,
        done.stderr,
    )


def test_lost_master_key_is_told_its_place(home: Program) -> None:
    home.folder.joinpath("master.key").unlink()

    done = home.run("serve")

    assert 1 == done.returncode
    assert f"put it back as {home.folder}/master.key" in done.stderr


def test_simulator_does_not_share_the_port_of_another(program: Program) -> None:
    """Both would listen, and each would get some of the other's requests."""
    first = program.start("simulate", "mstock", "--port", "0")
    url = read_until(first, "simulator on http://")[-1].split()[-1]
    port = url.rpartition(":")[2]

    done = program.run("simulate", "fyers", "--port", port)

    assert 1 == done.returncode
    assert "another program has it; choose another --port" in done.stderr


def test_doctor_names_accounts_without_credentials(program: Program) -> None:
    assert 0 == program.run("init", "--broker", "fyers", "--broker", "paper").returncode

    before = program.run("doctor", "--offline").stdout
    sealed = '{"app_id": "A-100", "secret_key": "s", "redirect_uri": "https://gate.lan/cb"}'
    assert 0 == program.run("vault", "set", "fyers-main", "--stdin", stdin=sealed).returncode
    after = program.run("doctor", "--offline").stdout

    assert "fyers-main has no app_id, secret_key, redirect_uri in the vault" in before
    assert "fix: brokergate vault set fyers-main" in before
    assert "Nothing is wrong; 3 still to do: the notes with a fix." in before
    assert "fyers-main: sealed" in after
    assert "paper-main" not in after.partition("credentials")[2]


def test_console_without_a_terminal_says_so_and_what_to_use(home: Program) -> None:
    done = home.run("console")

    assert (1, "") == (done.returncode, done.stdout)
    assert "needs a terminal" in done.stderr
    assert "brokergate orders" in done.stderr


@pytest.mark.parametrize("group", GROUPS)
def test_groups_list_their_commands_in_whole_sentences(program: Program, group: str) -> None:
    listed = program.run(group, "--help").stdout.partition("Commands:")[2]

    assert listed.strip()
    assert "..." not in listed


async def test_console_says_what_to_do_where_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="is `brokergate serve` running"):
        await call(Where(socket=f"{tmp_path}/control.sock"), "GET", "/livez")


def test_practice_account_is_told_to_need_no_credentials(program: Program) -> None:
    assert 0 == program.run("init", "--broker", "paper").returncode

    done = program.run("vault", "set", "paper-main")

    assert 1 == done.returncode
    assert "needs no credentials" in done.stderr
    assert "brokergate login paper-main" in done.stderr


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("redirect_uri", "gate.lan", "redirect_uri must be a whole address"),
        ("redirect_uri", "https://", "redirect_uri must be a whole address"),
        ("app_id", "A-100\n", "app_id has blanks around it"),
    ],
)
def test_credentials_that_no_login_can_take_are_not_sealed(
    program: Program, field: str, value: str, words: str
) -> None:
    assert 0 == program.run("init", "--broker", "fyers").returncode
    good = {"app_id": "A-100", "secret_key": "s", "redirect_uri": "https://gate.lan/cb"}
    sealed = json.dumps({**good, field: value})

    done = program.run("vault", "set", "fyers-main", "--stdin", stdin=sealed)

    assert 1 == done.returncode
    assert words in done.stderr
    assert "empty" in program.run("vault", "list").stdout
