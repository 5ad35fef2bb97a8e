"""The one registry of brokers: every adapter offered under `brokergate.adapters`.

Those of this project are named here as well, so that a frozen binary, which has no
package metadata, finds them too.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from adapters.sdk.interface import AdapterPlugin

GROUP = "brokergate.adapters"
_BUILT_IN = ("fyers", "mstock", "hdfc", "paper")


def load_plugins() -> dict[str, AdapterPlugin]:
    """Return every adapter by its broker name.

    Raises: `RuntimeError` when two packages offer the same broker, which would leave to chance
    who speaks to it.
    """
    plugins: dict[str, AdapterPlugin] = {}
    for name in _BUILT_IN:
        plugin: AdapterPlugin = importlib.import_module(f"adapters.{name}").PLUGIN
        plugins[plugin.broker] = plugin
    for point in entry_points(group=GROUP):
        if point.value.partition(":")[0] in {f"adapters.{name}" for name in _BUILT_IN}:
            continue
        plugin = point.load()
        if plugin.broker in plugins:
            raise RuntimeError(f"two adapters for the broker {plugin.broker!r}: see {point.value}")
        plugins[plugin.broker] = plugin
    return plugins
