"""Every setting by environment, over the file; misspelt ones are noticed."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adapters.sdk.interface import Capabilities
from gateway.config import ConfigError, Settings, load_settings
from gateway.config.document import read_document
from tests.config.test_example import EXAMPLE

Brokers = dict[str, Capabilities]


def test_variable_wins_over_the_file_and_leaves_the_rest(
    brokers: Brokers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("server: {host: localhost, port: 1}\nlogging: {level: debug}")
    monkeypatch.setenv("BROKERGATE_SERVER__PORT", "9000")
    loaded = load_settings(path, brokers)
    assert ("localhost", 9000) == (loaded.server.host, loaded.server.port)
    assert "debug" == loaded.logging.level


def test_lists_and_maps_are_json_with_every_digit_kept(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKERGATE_ACCOUNTS", '[{"id": "a", "broker": "paper"}]')
    monkeypatch.setenv("BROKERGATE_GROUPS", '{"g": {"a": 0.1000000000000000000000001}}')
    loaded = load_settings(None, brokers)
    assert "a" == loaded.accounts[0].id
    assert "0.1000000000000000000000001" == str(loaded.groups["g"]["a"])


def test_nested_variables_reach_maps(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERGATE_ACCOUNTS", '[{"id": "a", "broker": "paper"}]')
    monkeypatch.setenv("BROKERGATE_GROUPS__G__A", "0.5")
    assert {"g": {"a": Decimal("0.5")}} == load_settings(None, brokers).groups


def test_every_section_and_plain_setting_can_be_set(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pem").touch()
    for name, value in {
        "DATA_DIR": "/srv/d",
        "SERVER__HOST": "::1",
        "SERVER__TLS__CERT": str(tmp_path / "pem"),
        "SERVER__TLS__KEY": str(tmp_path / "pem"),
        "SERVER__TLS__CLIENT_CA": str(tmp_path / "pem"),
        "LOGGING__LEVEL": "error",
    }.items():
        monkeypatch.setenv(f"BROKERGATE_{name}", value)
    loaded = load_settings(None, brokers)
    assert Path("/srv/d") == loaded.data_dir
    assert "::1" == loaded.server.host
    assert tmp_path / "pem" == loaded.server.tls.client_ca
    assert "error" == loaded.logging.level


def test_mistake_names_the_variable(brokers: Brokers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERGATE_SERVER__PORT", "many")
    monkeypatch.setenv("BROKERGATE_SERVER__PRT", "1")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS", '[{"id": "a", "broker": "none"}]')
    with pytest.raises(ConfigError) as caught:
        load_settings(None, brokers)
    found = {mistake.source: mistake.key for mistake in caught.value.mistakes}
    assert {
        "environment BROKERGATE_SERVER__PORT": "server.port",
        "environment BROKERGATE_SERVER__PRT": "server.prt",
        "environment BROKERGATE_ACCOUNTS": "accounts[0].broker",
    } == found


def test_bad_json_is_refused_without_being_quoted(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKERGATE_ACCOUNTS", "[canary")
    monkeypatch.setenv("BROKERGATE_GROUPS", "{canary")
    with pytest.raises(ConfigError) as caught:
        load_settings(None, brokers)
    assert ["environment BROKERGATE_GROUPS", "environment BROKERGATE_ACCOUNTS"] == [
        mistake.source for mistake in caught.value.mistakes
    ]
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["BROKERGATE_SERVR__PORT", "BROKERGATE_DATADIR", "brokergate_x__y"]
)
def test_misspelt_variable_is_refused(
    name: str, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=f"environment {name}: no such setting"):
        load_settings(None, brokers)


@pytest.mark.parametrize(
    "name",
    [
        "BROKERGATE_CONFIG",
        "BROKERGATE_MASTER_KEY",
        "BROKERGATE_MASTER_KEY_FILE",
        "BROKERGATE_URL",
        "BROKERGATE_KEY_FILE",
        "BROKERGATE_API_KEY",
        "BROKERGATE_REQUIRE_SDK",
    ],
)
def test_variables_of_the_commands_are_no_settings(
    name: str, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    assert 8080 == load_settings(None, brokers).server.port


def test_empty_variable_counts_as_unset(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data_dir: /srv/d")
    monkeypatch.setenv("BROKERGATE_DATA_DIR", "")
    assert Path("/srv/d") == load_settings(path, brokers).data_dir


def variables(model: type[BaseModel], tree: dict[str, Any], above: str) -> dict[str, str]:
    """What a whole configuration is as variables: one for each plain setting, lists as JSON."""
    found = {}
    for name, field in model.model_fields.items():
        value, variable = tree.get(name), f"{above}{name.upper()}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= variables(inner, value or {}, f"{variable}__")
        elif isinstance(value, list | dict | bool):
            found[variable] = json.dumps(value, default=str)
        elif value is not None:
            found[variable] = str(value)
    return found


def test_the_whole_example_can_be_given_by_environment(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = load_settings(EXAMPLE, brokers)
    given = variables(Settings, read_document(EXAMPLE).tree, "BROKERGATE_")
    assert len(given) > 20
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    loaded = load_settings(None, brokers)

    # A relative path in a file is relative to the file.
    at = loaded.model_copy(update={"data_dir": example.data_dir})
    assert example == at


def test_a_risk_limit_by_environment_stands(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKERGATE_RISK", '{"max_order_value": 500000.05, "max_open_orders": 5}')
    monkeypatch.setenv("BROKERGATE_RISK__MAX_OPEN_ORDERS", "7")
    monkeypatch.setenv("BROKERGATE_RISK__BANNED_INSTRUMENTS", '["NSE:SBIN"]')
    monkeypatch.setenv("BROKERGATE_RISK__PRICE_COLLAR_PERCENT__EQ", "3.5")

    risk = load_settings(None, brokers).risk

    assert (Decimal("500000.05"), 7) == (risk.max_order_value, risk.max_open_orders)
    assert ["NSE:SBIN"] == list(risk.banned_instruments)
    assert {"EQ": Decimal("3.5")} == risk.price_collar_percent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RISK", "{"),
        ("RISK", "5"),
        ("RISK__MAX_OPEN_ORDERS__EQ", "5"),
        ("RISK__MAX_ORDR_VALUE", "5"),
        ("RISK__MAX_OPEN_ORDERS", "x"),
    ],
)
def test_a_risk_limit_that_cannot_be_is_refused(
    brokers: Brokers, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"BROKERGATE_{name}", value)

    with pytest.raises(ConfigError):
        load_settings(None, brokers)
