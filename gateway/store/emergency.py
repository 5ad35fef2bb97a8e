"""What was done while the journal could not be written, kept until it can.

Lines of JSON in the data directory, each synced before what it tells of is sent. The next start
takes them into the audit log. A ballast file holds some room on the disk, to be given up when the
disk is full: that is when this file is needed most.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.orders.times import now_us, rfc3339

log = logging.getLogger(__name__)

FILE = "emergency.jsonl"
BALLAST = "emergency.reserve"
_BALLAST_BYTES = 256 * 1024


class EmergencyLog:
    """One per data directory. `append` blocks for one sync: it is only used when all else fails."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._ballast = data_dir / BALLAST

    def reserve(self) -> None:
        """Hold room for some hundred lines; a full disk just leaves none."""
        with contextlib.suppress(OSError):
            fd = os.open(self._ballast, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, _BALLAST_BYTES)
            finally:
                os.close(fd)

    def append(self, event: str, body: dict[str, Any]) -> bool:
        """Keep one line; False when not even this file could be written."""
        at = now_us()
        line = msgspec.json.encode(
            {"id": secrets.token_hex(8), "at_us": at, "at": rfc3339(at), "event": event, **body}
        )
        try:
            self._write(line + b"\n")
        except OSError:
            self._ballast.unlink(missing_ok=True)
            try:
                self._write(line + b"\n")
            except OSError as error:
                log.error("kept nowhere, %s cannot be written (%s): %s", self._path, error, line)
                return False
        return True

    def lines(self) -> Iterator[dict[str, Any]]:
        """Read the lines back, oldest first; one that was cut short comes as its bare text."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return
        for line in filter(None, text.split(b"\n")):
            try:
                read = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError):
                read = {"event": "unreadable", "text": line.decode(errors="replace")}
            yield read

    def clear(self) -> None:
        """Forget what the audit log now holds."""
        self._path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        new = not self._path.exists()
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            start = os.fstat(fd).st_size
            try:
                if os.write(fd, data) != len(data):
                    raise OSError("a line was cut short")
                os.fsync(fd)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(fd, start)
                raise
        finally:
            os.close(fd)
        if new:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
