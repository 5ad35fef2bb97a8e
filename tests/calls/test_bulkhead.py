"""The places of one account fit into its transport."""

from __future__ import annotations

import inspect

from adapters.sdk.transport import OrderTransport
from gateway.calls.bulkhead import CAPACITY, Priority


def test_nothing_that_was_let_through_waits_for_a_connection():
    """A transport's own defaults have room for every class at its most."""
    default = {
        name: parameter.default
        for name, parameter in inspect.signature(OrderTransport).parameters.items()
    }
    total = default["max_connections"]
    orders, reads = default["max_orders"], total - default["reserved"]

    assert CAPACITY[Priority.PLACE] <= orders
    assert CAPACITY[Priority.READ] + CAPACITY[Priority.RECONCILE] <= reads
    assert CAPACITY[Priority.CANCEL] <= total - orders - reads
