"""What an adapter is told of its account: the settings with the adapter's defaults filled in."""

from __future__ import annotations

from pathlib import Path

from adapters.sdk.interface import AdapterContext, BorrowedMarket, Capabilities
from gateway.config.settings import Account


def adapter_context(
    account: Account,
    capabilities: Capabilities,
    *,
    state_dir: Path | None = None,
    market: BorrowedMarket | None = None,
) -> AdapterContext:
    """Build the context of an account whose settings have been checked against `capabilities`.

    A `market` is lent to practice accounts only.
    """
    hosts = {**capabilities.hosts, **account.base_urls}
    return AdapterContext(
        account=account.id,
        base_urls={name: url.rstrip("/") for name, url in hosts.items()},
        login=account.login or next(iter(capabilities.login_kinds), ""),
        source_address=account.source_address,
        ca_file=str(account.ca_file) if account.ca_file is not None else None,
        state_dir=state_dir,
        market=market if capabilities.practice else None,
        practice_cash=account.practice_cash if capabilities.practice else None,
    )
