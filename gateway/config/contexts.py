"""What an adapter is told of its account: the settings with the adapter's defaults filled in."""

from __future__ import annotations

from adapters.sdk.interface import AdapterContext, Capabilities
from gateway.config.settings import Account


def adapter_context(account: Account, capabilities: Capabilities) -> AdapterContext:
    """Build the context of an account whose settings have been checked against `capabilities`."""
    hosts = {**capabilities.hosts, **account.base_urls}
    return AdapterContext(
        account=account.id,
        base_urls={name: url.rstrip("/") for name, url in hosts.items()},
        login=account.login or next(iter(capabilities.login_kinds), ""),
        source_address=account.source_address,
        ca_file=str(account.ca_file) if account.ca_file is not None else None,
    )
