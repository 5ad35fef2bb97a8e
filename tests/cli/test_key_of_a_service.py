"""A service's key file is root's: its own user reads the log without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.configuration import find_master_key, master_key_at_hand
from gateway.cli.failure import Failure


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    key = tmp_path / "master.key"
    key.write_text("A" * 43)
    opened = Path.open

    def roots_alone(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == key.name:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    for name in ("BROKERGATE_MASTER_KEY", "BROKERGATE_MASTER_KEY_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    # Tests may run as root, who may read everything.
    monkeypatch.setattr(Path, "open", roots_alone)
    return tmp_path / "brokergate.yaml"


def test_a_key_that_this_user_may_not_read_is_not_at_hand(config: Path) -> None:
    assert None is master_key_at_hand(config)


def test_who_needs_the_key_is_told_why_there_is_none(config: Path) -> None:
    with pytest.raises(Failure, match="Permission denied"):
        find_master_key(config)
