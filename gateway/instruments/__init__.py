"""Instrument masters: fetched from each broker, looked up on the order path, searched."""

from gateway.instruments.daily import DailyRefresh, is_stale
from gateway.instruments.expiries import MarkedExpiry
from gateway.instruments.service import InstrumentService

__all__ = ["DailyRefresh", "InstrumentService", "MarkedExpiry", "is_stale"]
