"""Which brokergate this is. Light, so that `brokergate version` loads nothing else."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The installed version; the source tree's own when it was never installed."""
    try:
        return version("brokergate")
    except PackageNotFoundError:
        return "0+source"
