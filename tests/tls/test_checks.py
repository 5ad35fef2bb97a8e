"""Certificate files that cannot be served are told by setting, problem and fix."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.tls import client_ca_findings, client_crl_findings, pair_findings, read_pair
from tests.tls.files import HOSTS, NOW, Folder, encrypted_key, key_of


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def told(found: list) -> str:
    assert found, "nothing was found wrong"
    for each in found:
        assert each.setting.startswith("server.tls.")
        assert each.fix
    return " ".join(map(str, found))


def test_a_good_pair_has_nothing_wrong(folder: Folder) -> None:
    assert [] == pair_findings(*folder.server())
    assert [] == client_ca_findings(folder.ca)


def test_a_pair_is_described_with_names_and_dates(folder: Folder) -> None:
    cert, _ = folder.server(days=30)

    pair = read_pair(cert)

    assert HOSTS == pair.names
    assert 29 == pair.days_left(NOW + timedelta(hours=1))


def test_an_expired_certificate_says_when_it_ended(folder: Folder) -> None:
    said = told(pair_findings(*folder.expired()))

    assert "server.tls.cert: the certificate expired at 20" in said
    assert "brokergate tls renew" in said


def test_a_certificate_of_tomorrow_points_at_the_clock(folder: Folder) -> None:
    said = told(pair_findings(*folder.not_yet()))

    assert "not valid before" in said
    assert "clock" in said


def test_a_key_of_another_certificate_is_a_mismatch(folder: Folder) -> None:
    cert, _ = folder.server()
    _, other = folder.server("other")

    assert "is not the key of the certificate" in told(pair_findings(cert, other))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(folder: Folder, mode: int) -> None:
    cert, key = folder.server()
    key.chmod(mode)

    said = told(pair_findings(cert, key))

    assert f"mode {mode:04o}" in said
    assert f"chmod 600 {key}" in said


def test_a_key_with_a_passphrase_is_refused_with_the_command_that_helps(folder: Folder) -> None:
    cert, _ = folder.server()

    said = told(pair_findings(cert, encrypted_key(folder.folder / "locked.key")))

    assert "passphrase" in said
    assert "openssl pkey" in said


@pytest.mark.parametrize("kind", ["rsa-1024", "secp521r1", "secp256k1"])
def test_a_key_that_the_server_cannot_use_is_refused(folder: Folder, kind: str) -> None:
    cert, _ = folder.server()

    assert "not served" in told(pair_findings(cert, key_of(folder.folder / "odd.key", kind)))


def test_files_named_the_wrong_way_round_are_told_apart(folder: Folder) -> None:
    cert, key = folder.server()

    said = told(pair_findings(key, cert))

    assert "server.tls.cert: " in said
    assert "holds a private key" in said
    assert "server.tls.key: " in said
    assert "holds a certificate" in said


def test_a_clients_certificate_is_not_served(folder: Folder) -> None:
    assert "not for servers" in told(pair_findings(*folder.client()))


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100])
def test_what_is_no_pem_is_told(folder: Folder, content: bytes) -> None:
    cert, key = folder.server()
    cert.write_bytes(content)

    assert "no certificate in PEM form" in told(pair_findings(cert, key))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_key_is_told(folder: Folder) -> None:
    cert, key = folder.server()
    key.chmod(0)

    assert "cannot be read" in told(pair_findings(cert, key))


def test_a_file_that_is_gone_is_told(folder: Folder) -> None:
    cert, key = folder.server()
    key.unlink()

    assert "cannot be read: no such file" in told(pair_findings(cert, key))


def test_a_client_ca_that_is_no_ca_is_refused(folder: Folder) -> None:
    cert, _ = folder.server()

    assert "holds no certificate of a CA" in told(client_ca_findings(cert))


def test_a_list_of_taken_back_certificates_is_one_of_the_clients_ca(
    folder: Folder, tmp_path: Path
) -> None:
    client, _ = folder.client()
    good = folder.revoking(client)
    assert [] == client_crl_findings(good, folder.ca)
    old = folder.revoking(client, name="old.crl", now=NOW - timedelta(days=90))
    assert [] == client_crl_findings(old, folder.ca)
    other = Folder(tmp_path / "other", "another")
    assert "no list that is signed by" in told(client_crl_findings(other.revoking(), folder.ca))
    # Of the same name, and still another key.
    twin = Folder(tmp_path / "twin")
    assert "no list that is signed by" in told(client_crl_findings(twin.revoking(), folder.ca))
    both = tmp_path / "both.crt"
    both.write_bytes(folder.ca.read_bytes() + other.ca.read_bytes())
    assert "another" in told(client_crl_findings(good, both))
    lists = tmp_path / "both.crl"
    lists.write_bytes(good.read_bytes() + other.revoking().read_bytes())
    assert [] == client_crl_findings(lists, both)
    assert "no revocation list" in told(client_crl_findings(client, folder.ca))
    assert "server.tls.client_crl" in told(client_crl_findings(tmp_path / "gone", folder.ca))


def test_nothing_of_a_key_is_ever_in_the_words(folder: Folder) -> None:
    cert, key = folder.server()
    _, other = folder.server("other")
    key.chmod(0o644)
    secrets = [line for line in key.read_text().splitlines() if not line.startswith("---")]

    said = told(pair_findings(cert, key) + pair_findings(cert, other) + pair_findings(key, key))

    assert not any(secret in said for secret in secrets)
