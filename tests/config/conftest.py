"""Brokers as the loader is told of them, and an environment without settings in it."""

import os

import pytest

from adapters.sdk.interface import Capabilities, CredentialField, TagEcho


def capabilities(
    hosts: dict[str, str], login_kinds: tuple[str, ...], orders_per_second: int = 8
) -> Capabilities:
    return Capabilities(
        hosts=hosts,
        login_kinds=login_kinds,
        credentials=(CredentialField(name="password", help="the password"),),
        tag_echo=TagEcho.UNPROVEN,
        exchanges=frozenset(),
        order_types=frozenset(),
        products=frozenset(),
        validities=frozenset(),
        orders_per_second=orders_per_second,
    )


@pytest.fixture
def brokers() -> dict[str, Capabilities]:
    return {
        "fyers": capabilities({"api": "https://f/api/", "data": "https://f/data"}, ("redirect",)),
        "mstock": capabilities({"api": "https://m"}, ("otp", "totp"), orders_per_second=7),
        "hdfc": capabilities({"api": "https://h"}, ("password", "hosted")),
        "paper": capabilities({}, ()),
    }


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("BROKERGATE_"):
            monkeypatch.delenv(name)
