"""packaging/install.sh into a folder, and the unit that it installs."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from gateway.secrets.master_key import CREDENTIAL, load_master_key
from tests.cli.conftest import ROOT

SCRIPT = ROOT / "packaging" / "install.sh"
UNIT = ROOT / "packaging" / "brokergate.service"
SOCKET = ROOT / "packaging" / "brokergate.socket"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="it gives files to root")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A stand-in for the built folder."""
    folder = tmp_path / "built" / "brokergate"
    folder.mkdir(parents=True)
    program = folder / "brokergate"
    program.write_text("#!/bin/sh\necho brokergate stand-in\n")
    program.chmod(0o755)
    return folder


def install(built: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), str(built)],
        env={"PATH": os.environ["PATH"], "DESTDIR": str(target)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@needs_root
def test_a_first_run_makes_everything_and_the_key_is_roots_alone(
    built: Path, tmp_path: Path
) -> None:
    target = tmp_path / "root"
    done = install(built, target)

    assert 0 == done.returncode, done.stderr
    key = target / "etc/brokergate/master.key"
    assert 0o400 == stat.S_IMODE(key.stat().st_mode)
    assert load_master_key({"BROKERGATE_MASTER_KEY_FILE": str(key)})
    assert 0o700 == stat.S_IMODE((target / "var/lib/brokergate").stat().st_mode)
    assert (target / "opt/brokergate/brokergate").is_file()
    for unit in (UNIT, SOCKET):
        assert unit.read_text() == (target / "etc/systemd/system" / unit.name).read_text()


@needs_root
def test_a_second_run_replaces_the_program_and_nothing_else(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "root"
    install(built, target)
    settings, key = (target / "etc/brokergate" / name for name in ("brokergate.yaml", "master.key"))
    settings.write_text("mine")
    before = key.read_bytes()
    (built / "brokergate").write_text("#!/bin/sh\necho newer\n")
    (target / "opt/brokergate/old-module").touch()

    assert 0 == install(built, target).returncode
    assert ("mine", before) == (settings.read_text(), key.read_bytes())
    assert "newer" in (target / "opt/brokergate/brokergate").read_text()
    assert not (target / "opt/brokergate/old-module").exists()


@needs_root
def test_a_journal_whose_key_is_missing_gets_no_new_key(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "root"
    install(built, target)
    (target / "etc/brokergate/master.key").unlink()
    (target / "var/lib/brokergate/journal.db").touch()

    done = install(built, target)
    assert 1 == done.returncode
    assert "put it back" in done.stderr
    assert not (target / "etc/brokergate/master.key").exists()


@needs_root
def test_a_program_that_does_not_run_here_changes_nothing(built: Path, tmp_path: Path) -> None:
    (built / "brokergate").write_text("#!/bin/sh\nexit 1\n")

    done = install(built, tmp_path / "root")
    assert 1 == done.returncode
    assert "does not run on this machine" in done.stderr
    assert not (tmp_path / "root").exists()


def test_the_unit_hands_over_the_credential_that_the_gateway_looks_for() -> None:
    assert f"LoadCredential={CREDENTIAL}:/etc/brokergate/master.key" in UNIT.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_as_tight_as_promised() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old")
    exposure = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert 2.0 > float(exposure[1])
