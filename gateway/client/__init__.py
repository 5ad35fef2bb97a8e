"""The Python client: `Client` blocks, `AsyncClient` does not, both do the same.

Imports nothing of the service (`tests/test_import_directions.py`), so a program that only places
orders loads msgspec and niquests and no more.
"""

from __future__ import annotations

from gateway.client.aio import AsyncClient
from gateway.client.calls import OrderFields
from gateway.client.errors import FixRequest, GatewayError, LogIn, LookFirst, RetryLater
from gateway.client.event import Event
from gateway.client.models import Basket, Closed, Leg, Next, Order, Reason
from gateway.client.steps import Policy
from gateway.client.sync import Client

__all__ = [
    "AsyncClient",
    "Basket",
    "Client",
    "Closed",
    "Event",
    "FixRequest",
    "GatewayError",
    "Leg",
    "LogIn",
    "LookFirst",
    "Next",
    "Order",
    "OrderFields",
    "Policy",
    "Reason",
    "RetryLater",
]
