"""The configuration: one YAML file, every key also by environment, every mistake told at once.

Importing this package loads pydantic, which is slow to import; nothing else in the gateway does.
"""

from gateway.config.contexts import adapter_context
from gateway.config.loader import load_settings
from gateway.config.mistakes import ConfigError, Mistake
from gateway.config.settings import (
    Account,
    Limits,
    Logging,
    ProtectBand,
    Server,
    Settings,
    Tls,
    is_loopback,
)

__all__ = [
    "Account",
    "ConfigError",
    "Limits",
    "Logging",
    "Mistake",
    "ProtectBand",
    "Server",
    "Settings",
    "Tls",
    "adapter_context",
    "is_loopback",
    "load_settings",
]
