"""Acme, as a plug-in of brokergate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin
from brokergate_acme.config import CAPABILITIES, TITLE

if TYPE_CHECKING:
    from adapters.sdk.simulator import BrokerSimulator

__all__ = ["PLUGIN"]


def _create(context: AdapterContext) -> Adapter:
    from brokergate_acme.adapter import AcmeAdapter

    return AcmeAdapter(context)


def _simulator(*args: Any, **options: Any) -> BrokerSimulator:
    from brokergate_acme.simulator import AcmeSimulator

    return AcmeSimulator(*args, **options)


PLUGIN = AdapterPlugin(
    broker="acme",
    title=TITLE,
    capabilities=CAPABILITIES,
    create=_create,
    simulator=_simulator,
)
