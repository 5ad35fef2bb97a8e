"""What a configuration asks for and does not get: no mistake, but no reader would guess it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from adapters.sdk.interface import Capabilities
from gateway.config.mistakes import key_of
from gateway.config.settings import Settings


def find_advice(
    settings: Settings, brokers: Mapping[str, Capabilities]
) -> Iterator[tuple[str, str]]:
    """Yield a key and what is to be known of it."""
    for at, account in enumerate(settings.accounts):
        asked, cap = account.limits.orders_per_second, brokers[account.broker].orders_per_second
        if asked > cap:
            yield (
                key_of(("accounts", at, "limits", "orders_per_second")),
                f"{asked} is asked for, {cap} is kept to: the {account.broker} adapter's own figure"
                " (capabilities.orders_per_second), which the configuration can lower only",
            )
