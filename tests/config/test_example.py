"""The annotated example: it loads, shows every setting, and its values are the defaults."""

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from adapters.sdk.interface import Capabilities
from gateway.config import Account, Settings, load_settings
from gateway.config.document import read_document

EXAMPLE = Path(__file__).parents[2] / "config" / "brokergate.example.yaml"


def model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def keys_of(model: type[BaseModel], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    keys = set()
    for name, field in model.model_fields.items():
        keys.add((*above, name))
        if inner := model_in(field.annotation):
            keys |= keys_of(inner, (*above, name))
    return keys


def test_example_loads(brokers: dict[str, Capabilities]) -> None:
    loaded = load_settings(EXAMPLE, brokers)
    assert {"fyers", "mstock", "hdfc"} == {account.broker for account in loaded.accounts}


def test_example_shows_every_setting() -> None:
    written = {
        tuple(part for part in path if isinstance(part, str))
        for path in read_document(EXAMPLE).lines
    }
    assert keys_of(Settings) >= {("server", "tls", "client_ca"), ("accounts", "protect_band", "EQ")}
    assert set() == keys_of(Settings) - written


def test_values_in_the_example_are_the_defaults(brokers: dict[str, Capabilities]) -> None:
    loaded = load_settings(EXAMPLE, brokers)
    assert EXAMPLE.parent / "data" == loaded.data_dir
    assert Settings().server == loaded.server
    assert Settings().logging == loaded.logging
    assert Account(id="fyers-main", broker="fyers") == loaded.account("fyers-main")
