"""m.Stock (Mirae Asset Capital Markets), Trading API Type B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.mstock.config import CAPABILITIES
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin

if TYPE_CHECKING:
    from adapters.sdk.error_table import ErrorRow
    from adapters.sdk.simulator import BrokerSimulator


def _create(context: AdapterContext) -> Adapter:
    from adapters.mstock.adapter import MstockAdapter

    return MstockAdapter(context)


def _simulator(*args: Any, **options: Any) -> BrokerSimulator:
    from adapters.mstock.simulator import MstockSimulator

    return MstockSimulator(*args, **options)


def _errors() -> list[ErrorRow]:
    from adapters.mstock.errors import rows

    return rows()


PLUGIN = AdapterPlugin(
    broker="mstock",
    title="m.Stock",
    capabilities=CAPABILITIES,
    create=_create,
    simulator=_simulator,
    errors=_errors,
)
