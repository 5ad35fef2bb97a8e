"""Instrument masters: fetched from each broker, looked up on the order path."""

from gateway.instruments.service import InstrumentService

__all__ = ["InstrumentService"]
