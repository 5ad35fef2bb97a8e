"""Where the master key is looked for, and what is refused."""

import base64
import os
import stat
from pathlib import Path

import pytest

from gateway.secrets.master_key import (
    MasterKeyError,
    generate_master_key,
    load_master_key,
    write_key_file,
)

KEYS = [bytes([number]) * 32 for number in (1, 2, 3, 4)]


def text_of(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def key_file(path: Path, key: bytes, mode: int = 0o600) -> Path:
    path.write_text(text_of(key) + "\n")
    path.chmod(mode)
    return path


def test_sources_are_taken_in_the_documented_order(tmp_path: Path) -> None:
    key_file(tmp_path / "brokergate-master-key", KEYS[0], 0o400)
    environ = {
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "BROKERGATE_MASTER_KEY_FILE": str(key_file(tmp_path / "file", KEYS[1])),
        "BROKERGATE_MASTER_KEY": text_of(KEYS[2]),
    }
    for expected, used in zip(
        KEYS[:3],
        ["CREDENTIALS_DIRECTORY", "BROKERGATE_MASTER_KEY_FILE", "BROKERGATE_MASTER_KEY"],
        strict=True,
    ):
        assert expected == load_master_key(environ, prompt=lambda _: text_of(KEYS[3])).key
        del environ[used]
    assert KEYS[3] == load_master_key(environ, prompt=lambda _: text_of(KEYS[3])).key


def test_credentials_directory_without_our_credential_is_passed_over(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "BROKERGATE_MASTER_KEY": text_of(KEYS[0])}
    assert KEYS[0] == load_master_key(environ).key


def test_credential_readable_through_systemds_access_list_is_accepted(tmp_path: Path) -> None:
    key_file(tmp_path / "brokergate-master-key", KEYS[0], 0o440)
    assert KEYS[0] == load_master_key({"CREDENTIALS_DIRECTORY": str(tmp_path)}).key


def test_credential_readable_by_everyone_is_refused(tmp_path: Path) -> None:
    key_file(tmp_path / "brokergate-master-key", KEYS[0], 0o444)
    with pytest.raises(MasterKeyError, match="chmod 600"):
        load_master_key({"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o700, 0o610])
def test_key_file_wider_than_0600_is_refused_with_the_command(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path / "key", KEYS[0], mode)
    with pytest.raises(MasterKeyError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        load_master_key({"BROKERGATE_MASTER_KEY_FILE": str(path)})


def test_missing_key_file_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    environ = {
        "BROKERGATE_MASTER_KEY_FILE": str(tmp_path / "none"),
        "BROKERGATE_MASTER_KEY": text_of(KEYS[0]),
    }
    with pytest.raises(MasterKeyError, match=r"BROKERGATE_MASTER_KEY_FILE .*No such file"):
        load_master_key(environ)


def test_directory_as_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="Is a directory"):
        load_master_key({"BROKERGATE_MASTER_KEY_FILE": str(tmp_path)})


def test_key_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff" * 32)
    path.chmod(0o600)
    with pytest.raises(MasterKeyError, match="not text in base64url"):
        load_master_key({"BROKERGATE_MASTER_KEY_FILE": str(path)})


@pytest.mark.parametrize(
    "spelling", [text_of(KEYS[0]), text_of(KEYS[0]) + "=", f" {'AQEB' * 10}AQE\n"]
)
def test_padding_and_space_around_the_key_do_not_matter(spelling: str) -> None:
    assert KEYS[0] == load_master_key({"BROKERGATE_MASTER_KEY": spelling}).key


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("   ", "holds 0 bytes"),
        (text_of(KEYS[0][:31]), "holds 31 bytes"),
        (text_of(KEYS[0] + b"1"), "holds 33 bytes"),
        ("A" * 42 + "!", "is not base64url"),
        ("A" * 41, "is not base64url"),
        ("A" * 42 + "é", "is not base64url"),
        ("A" * 42 + "+", r"has \+ or /"),
        ("A" * 42 + "B", "mistyped"),
    ],
)
def test_unusable_key_is_refused_naming_the_source_and_not_the_key(
    text: str, complaint: str
) -> None:
    with pytest.raises(MasterKeyError, match=complaint) as caught:
        load_master_key({"BROKERGATE_MASTER_KEY": text})
    message = str(caught.value)
    assert message.startswith("BROKERGATE_MASTER_KEY:")
    assert len(text.strip()) == 0 or text.strip() not in message
    assert caught.value.__cause__ is None


def test_without_terminal_or_source_the_error_lists_the_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "stdin").open("w+") as not_a_terminal:
        monkeypatch.setattr("sys.stdin", not_a_terminal)
        with pytest.raises(MasterKeyError) as caught:
            load_master_key({})
    for name in ("BROKERGATE_MASTER_KEY_FILE", "BROKERGATE_MASTER_KEY", "brokergate-master-key"):
        assert name in str(caught.value)


def test_the_key_is_not_in_the_repr() -> None:
    key = generate_master_key()
    assert key.text() not in repr(key)
    assert repr(key.key) not in repr(key)


def test_written_key_file_is_private_and_loads_again(tmp_path: Path) -> None:
    key = generate_master_key()
    path = tmp_path / "master.key"
    old = os.umask(0)
    try:
        write_key_file(path, key)
    finally:
        os.umask(old)
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert key.key == load_master_key({"BROKERGATE_MASTER_KEY_FILE": str(path)}).key


def test_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    write_key_file(path, generate_master_key())
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        write_key_file(path, generate_master_key())
    assert before == path.read_bytes()
