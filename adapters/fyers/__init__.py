"""Fyers (API v3) behind the standard adapter interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.fyers.config import CAPABILITIES
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin

if TYPE_CHECKING:
    from adapters.fyers.simulator import FyersSimulator
    from adapters.sdk.error_table import ErrorRow

__all__ = ["PLUGIN"]


def _create(context: AdapterContext) -> Adapter:
    from adapters.fyers.adapter import FyersAdapter

    return FyersAdapter(context)


def _simulator(*args: Any, **kwargs: Any) -> FyersSimulator:
    from adapters.fyers.simulator import FyersSimulator

    return FyersSimulator(*args, **kwargs)


def _errors() -> list[ErrorRow]:
    from adapters.fyers.errors import rows

    return rows()


PLUGIN = AdapterPlugin(
    broker="fyers",
    title="Fyers",
    capabilities=CAPABILITIES,
    create=_create,
    simulator=_simulator,
    errors=_errors,
)
