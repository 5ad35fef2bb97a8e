"""`GET /v1/audit/export`: the log as a file that proves itself, sent as it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import islice

from gateway.api.problems import wrong_field
from gateway.api.routing import Answer, Call, Route
from gateway.orders.times import to_us
from gateway.secrets.api_keys import Scope
from gateway.store import Store
from gateway.store.audit.export import Selection
from gateway.store.audit.file import LogFile
from gateway.store.audit.records import ExportFormat

_LINES = 500
# Slept between pieces, which otherwise keep the processor from the orders.
_PAUSE_S = 0.002
_KINDS = {ExportFormat.JSONL: b"application/jsonl", ExportFormat.CSV: b"text/csv"}


class AuditExportRoute:
    """The whole log, digests of what a filter leaves out included: for keys of all accounts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/audit/export",
                scope=Scope.ADMIN,
                handler=self.export,
                summary="The audit log as a file that can be checked without the gateway",
                tag="audit",
                query={
                    "format": f"{' or '.join(ExportFormat)}; {ExportFormat.JSONL} by default",
                    "after": "only rows after this number",
                    "from": "only rows from this time on",
                    "to": "only rows before this time",
                    "kind": "order, leg, session, kill, ...; several separated by commas",
                    "account": "only rows about this account",
                    "order_id": "only rows about this order",
                },
            ),
        ]

    async def export(self, call: Call) -> Answer:
        call.assert_all_accounts("an export of the audit log")
        try:
            spelling = ExportFormat(call.query.get("format", ExportFormat.JSONL))
        except ValueError as error:
            raise wrong_field("format", f"must be one of {', '.join(ExportFormat)}") from error
        selection = Selection(
            after=_number(call, "after"),
            from_us=_time(call, "from"),
            to_us=_time(call, "to"),
            kinds=frozenset(kind for kind in call.query.get("kind", "").split(",") if kind),
            account=call.query.get("account") or None,
            order_id=call.query.get("order_id") or None,
        )
        pieces = self._pieces(selection, spelling)
        return Answer(content_type=_KINDS[spelling], stream=pieces)

    async def _pieces(self, selection: Selection, spelling: ExportFormat) -> AsyncIterator[bytes]:
        """Read in a thread, piece by piece. An export that breaks off lacks its `end` record."""
        with LogFile(self._store.path) as log:
            lines = log.export(selection, spelling)
            while piece := await _in_a_thread(partial(_joined, lines)):
                yield piece
                await asyncio.sleep(_PAUSE_S)


async def _in_a_thread(work: Callable[[], bytes]) -> bytes:
    """Wait for the end of the work even when cancelled: the log is closed after that."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def _joined(lines: Iterator[bytes]) -> bytes:
    return b"".join(islice(lines, _LINES))


def _number(call: Call, name: str) -> int:
    text = call.query.get(name, "0")
    if not (text.isdecimal() and len(text) <= 18):
        raise wrong_field(name, "must be the number (seq) of a row")
    return int(text)


def _time(call: Call, name: str) -> int | None:
    if name not in call.query:
        return None
    try:
        # A "+" that was not escaped arrives as a blank.
        return to_us(datetime.fromisoformat(call.query[name].replace(" ", "+")))
    except (ValueError, OverflowError) as error:
        message = "must be a time with an offset, such as 2026-11-05T09:15:00+05:30"
        raise wrong_field(name, message) from error
