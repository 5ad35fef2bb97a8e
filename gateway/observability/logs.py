"""Logs for a person, or as JSON with one object a line."""

from __future__ import annotations

import json
import logging
import sys

from gateway.observability.context import request_id, traceparent
from gateway.orders.times import rfc3339

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_logging(level: str, style: str) -> None:
    """Log to stderr; `style` is `text` or `json`.

    Libraries log only from warning on: their debug logs hold URLs and headers.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in ("gateway", "adapters"):
        logging.getLogger(name).setLevel(level.upper())


class JsonFormatter(logging.Formatter):
    """One object per record, in one line: `at level logger message`, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": rfc3339(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "traceparent": traceparent.get(),
            "error": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({key: value for key, value in line.items() if value is not None})
