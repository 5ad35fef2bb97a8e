"""HTTP below the adapters: a lean client for trading calls, niquests for everything else."""

from adapters.sdk.transport.http import HttpRequest, HttpResponse
from adapters.sdk.transport.order import OrderTransport
from adapters.sdk.transport.timeouts import Timeouts
from adapters.sdk.transport.web import WebTransport

__all__ = ["HttpRequest", "HttpResponse", "OrderTransport", "Timeouts", "WebTransport"]
