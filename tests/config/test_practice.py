"""Settings of practice accounts, and what keeps made-up prices away from real money."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from adapters.sdk.interface import Capabilities
from gateway.config import ConfigError, load_settings


@pytest.fixture
def brokers(brokers: dict[str, Capabilities]) -> dict[str, Capabilities]:
    return brokers | {"paper": msgspec.structs.replace(brokers["paper"], practice=True)}


def written(folder: Path, text: str) -> Path:
    path = folder / "brokergate.yaml"
    path.write_text(text)
    return path


def test_a_practice_account_takes_cash_and_a_lender(
    brokers: dict[str, Capabilities], tmp_path: Path
) -> None:
    text = """
accounts:
  - {id: real, broker: fyers}
  - {id: paper, broker: paper, quotes_from: real, practice_cash: "250000.50"}
"""
    loaded = load_settings(written(tmp_path, text), brokers)
    assert Decimal("250000.50") == loaded.account("paper").practice_cash


@pytest.mark.parametrize(
    ("account", "key", "words"),
    [
        ("{id: b, broker: fyers, practice_cash: 5}", "practice_cash", "real money"),
        ("{id: b, broker: fyers, quotes_from: paper}", "quotes_from", "practice account"),
        ("{id: b, broker: paper, quotes_from: paper}", "quotes_from", "practice account"),
        ("{id: b, broker: paper, practice_cash: 0}", "practice_cash", "out of range"),
    ],
)
def test_what_would_mix_practice_and_money_is_a_mistake(
    account: str, key: str, words: str, brokers: dict[str, Capabilities], tmp_path: Path
) -> None:
    text = f"accounts:\n  - {{id: paper, broker: paper}}\n  - {account}\n"
    with pytest.raises(ConfigError) as caught:
        load_settings(written(tmp_path, text), brokers)
    assert 1 == len(caught.value.mistakes)
    mistake = caught.value.mistakes[0]
    assert mistake.key.endswith(key)
    assert words in mistake.problem
