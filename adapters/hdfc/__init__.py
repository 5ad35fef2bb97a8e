"""HDFC Securities through its InvestRight Open API."""

from __future__ import annotations

from typing import Any

from adapters.hdfc.config import CAPABILITIES
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin

__all__ = ["PLUGIN"]


def _create(context: AdapterContext) -> Adapter:
    from adapters.hdfc.adapter import HdfcAdapter

    return HdfcAdapter(context)


def _simulator(**settings: Any) -> Any:
    from adapters.hdfc.simulator import HdfcSimulator

    return HdfcSimulator(**settings)


PLUGIN = AdapterPlugin(
    broker="hdfc",
    title="HDFC Securities (InvestRight)",
    capabilities=CAPABILITIES,
    create=_create,
    simulator=_simulator,
)
