"""`python -m tests.chaos.checkpoint serve ...`: the real command, which dies inside a checkpoint.

In WAL mode SQLite writes to the database file itself only while it moves pages there from the
log. A file system shim under the journal counts those writes and kills the process in the
middle of one, after half of its bytes: `BROKERGATE_FAILPOINTS=checkpoint:7`.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import apsw

_VARIABLE = "BROKERGATE_FAILPOINTS"
_BASE = apsw.vfs_names()[0]


class _File(apsw.VFSFile):
    def __init__(self, vfs: str, name: Any, flags: Any, left: list[int]) -> None:
        super().__init__(vfs, name, flags)
        self._left = left

    def xWrite(self, data: bytes, offset: int) -> None:
        # Page one is also written when the file is made; only what comes after it counts.
        if offset > 0:
            self._left[0] -= 1
            if self._left[0] == 0:
                super().xWrite(data[: len(data) // 2], offset)
                os.kill(os.getpid(), signal.SIGKILL)
        super().xWrite(data, offset)


class _Shim(apsw.VFS):
    def __init__(self, left: int) -> None:
        self._left = [left]
        super().__init__("chaos", base=_BASE, makedefault=True)

    def xOpen(self, name: Any, flags: Any) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        is_journal = flags[0] & apsw.SQLITE_OPEN_MAIN_DB and path.endswith("journal.db")
        if is_journal and not flags[0] & apsw.SQLITE_OPEN_READONLY:
            return _File(_BASE, name, flags, self._left)
        return apsw.VFSFile(_BASE, name, flags)


def main() -> None:
    # The gateway's own failpoints do not know this one.
    count = os.environ.pop(_VARIABLE).partition(":")[2]
    shim = _Shim(int(count))
    from gateway.cli.main import main as command

    command()
    del shim


if __name__ == "__main__":
    main()
