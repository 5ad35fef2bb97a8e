"""HDFC Securities through its InvestRight Open API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.hdfc.config import CAPABILITIES
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin

if TYPE_CHECKING:
    from adapters.sdk.error_table import ErrorRow

__all__ = ["PLUGIN"]


def _create(context: AdapterContext) -> Adapter:
    from adapters.hdfc.adapter import HdfcAdapter

    return HdfcAdapter(context)


def _simulator(**settings: Any) -> Any:
    from adapters.hdfc.simulator import HdfcSimulator

    return HdfcSimulator(**settings)


def _errors() -> list[ErrorRow]:
    from adapters.hdfc.errors import rows

    return rows()


PLUGIN = AdapterPlugin(
    broker="hdfc",
    title="HDFC Securities (InvestRight)",
    capabilities=CAPABILITIES,
    create=_create,
    simulator=_simulator,
    errors=_errors,
)
