"""The only place that touches SQLite: the journal, the sealed secrets, the instrument file."""

from gateway.store.journal import Existing, LegEvent, OrderFilter, StaleLeg
from gateway.store.kill import KillRow
from gateway.store.lock import DataDirLock, DataDirLocked, DataDirUnusable
from gateway.store.store import Store
from gateway.store.writer import StoreBroken

__all__ = [
    "DataDirLock",
    "DataDirLocked",
    "DataDirUnusable",
    "Existing",
    "KillRow",
    "LegEvent",
    "OrderFilter",
    "StaleLeg",
    "Store",
    "StoreBroken",
]
