"""Practice without money: the shared matching engine as a broker inside the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.paper.config import CAPABILITIES
from adapters.sdk.interface import Adapter, AdapterContext, AdapterPlugin

if TYPE_CHECKING:
    from adapters.sdk.error_table import ErrorRow

__all__ = ["PLUGIN"]


def _create(context: AdapterContext) -> Adapter:
    from adapters.paper.adapter import PaperAdapter

    return PaperAdapter(context)


def _errors() -> list[ErrorRow]:
    from adapters.paper.errors import rows

    return rows()


PLUGIN = AdapterPlugin(
    broker="paper",
    title="Paper",
    capabilities=CAPABILITIES,
    create=_create,
    errors=_errors,
)
