"""Practice without money: the shared matching engine as a broker inside the gateway."""

from __future__ import annotations

from adapters.paper.config import CAPABILITIES
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin

__all__ = ["PLUGIN"]


def _create(context: AdapterContext) -> Adapter:
    from adapters.paper.adapter import PaperAdapter

    return PaperAdapter(context)


PLUGIN = AdapterPlugin(
    broker="paper",
    title="Paper",
    capabilities=CAPABILITIES,
    create=_create,
)
