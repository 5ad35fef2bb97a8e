"""An account made of its settings."""

from __future__ import annotations

from pathlib import Path

from adapters.sdk.interface import AdapterPlugin
from gateway.config import Account as AccountSettings
from gateway.config import adapter_context
from gateway.lending import Lending
from gateway.orchestrator.account import Account, AccountPolicy


def make_account(
    config: AccountSettings, plugin: AdapterPlugin, lending: Lending, state: Path
) -> Account:
    """Make an account as the configuration has it, not logged in."""
    context = adapter_context(
        config,
        plugin.capabilities,
        state_dir=state / config.id,
        market=lending.market(config.quotes_from),
    )
    return Account(config.id, plugin, plugin.create(context), policy_of(config, plugin))


def policy_of(config: AccountSettings, plugin: AdapterPlugin) -> AccountPolicy:
    band = config.protect_band
    return AccountPolicy(
        orders_per_second=min(
            config.limits.orders_per_second, plugin.capabilities.orders_per_second
        ),
        broker_windows=config.limits.broker_windows == "enforce",
        market_orders=config.market_orders,
        market_hours=config.market_hours,
        protect_band={"EQ": band.EQ, "FUT": band.FUT, "OPT": band.OPT},
        exclusive=config.exclusive,
        quotes_from=config.quotes_from,
    )
