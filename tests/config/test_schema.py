"""The JSON Schema against the settings and against what the loader takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from adapters.sdk.interface import Capabilities
from gateway.config.document import read_document
from gateway.config.schema import settings_schema
from gateway.config.settings import Settings
from tests.config.test_example import EXAMPLE, keys_of


@pytest.fixture
def validator(brokers: dict[str, Capabilities]) -> Draft202012Validator:
    schema = settings_schema(brokers)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def mistakes(validator: Draft202012Validator, tree: Any) -> list[str]:
    return [error.message for error in validator.iter_errors(tree)]


def written(text: str, folder: Path) -> Any:
    path = folder / "brokergate.yaml"
    path.write_text(text)
    return read_document(path).tree


def test_the_example_is_valid(validator: Draft202012Validator) -> None:
    assert [] == mistakes(validator, read_document(EXAMPLE).tree)


def test_every_setting_is_in_it(validator: Draft202012Validator) -> None:
    def places(schema: Any, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        if isinstance(schema, list):
            return {place for item in schema for place in places(item, above)}
        if not isinstance(schema, dict):
            return set()
        if "$ref" in schema:
            return places(validator.schema["$defs"][schema["$ref"].rpartition("/")[2]], above)
        found = places(schema.get("anyOf", []), above) | places(schema.get("items", []), above)
        for name, inner in schema.get("properties", {}).items():
            found |= {(*above, name)} | places(inner, (*above, name))
        return found

    assert keys_of(Settings) <= places(validator.schema)


@pytest.mark.parametrize(
    "text",
    [
        "prot: 9000",
        "server: {port: 70000}",
        "server: {prot: 9000}",
        "logging: {level: loud}",
        "instruments: {refresh_at: '25:00'}",
        "accounts: [{id: a}]",
        "accounts: [{id: a, broker: zerodha}]",
        "accounts: [{id: a, broker: fyers, login: smoke}]",
        "accounts: [{id: a, broker: fyers, base_urls: {web: 'https://h'}}]",
        "accounts: [{id: a, broker: fyers, market_orders: maybe}]",
    ],
)
def test_a_mistake_is_found(validator: Draft202012Validator, tmp_path: Path, text: str) -> None:
    assert mistakes(validator, written(text, tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "server:\nlogging:\naccounts:",
        "instruments: {refresh_at: '08:15:30'}",
        "accounts: [{id: a, broker: fyers, protect_band: {EQ: '1.5', FUT: 2, OPT: null}}]",
        "accounts: [{id: a, broker: mstock, login: totp, registered_ips: [203.0.113.7]}]",
    ],
)
def test_what_the_loader_takes_is_valid(
    validator: Draft202012Validator, tmp_path: Path, text: str
) -> None:
    assert [] == mistakes(validator, written(text, tmp_path))
