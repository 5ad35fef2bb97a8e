"""A journal's log opened for reading only, whether or not a gateway writes to it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType

import apsw

from gateway.secrets.sealing import Keyring
from gateway.store import sealed
from gateway.store.audit.anchors import Anchor
from gateway.store.audit.check import check_log
from gateway.store.audit.checkpoint import BadPublicKey, parse_public_key
from gateway.store.audit.export import Selection, export_lines
from gateway.store.audit.records import ExportFormat
from gateway.store.audit.verdict import Verdict

_MAGIC = b"SQLite format 3\x00"


class NoLog(ValueError):
    """The file is no journal, or one whose audit log was never signed."""


class LogFile:
    """Use it with `with`. Raises, on entering: `NoLog`, `StoreError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> LogFile:
        if not self._path.is_file() or not is_database(self._path):
            raise NoLog(f"{self._path} is no journal")
        self._connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
        self._connection.set_busy_timeout(5000)
        try:
            found = sealed.public_key(self._connection)
        except apsw.SQLError as error:
            self._connection.close()
            raise NoLog(f"{self._path} is no journal of brokergate's") from error
        if found is None:
            self._connection.close()
            raise NoLog(
                f"{self._path} was never opened by a brokergate that signs its audit log; start"
                " the gateway on it once"
            )
        self.public_key = found
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def check(
        self,
        keyring: Keyring | None,
        public_key: str | None,
        anchors: Iterable[Anchor],
        progress: Callable[[int, int], None] | None = None,
    ) -> Verdict:
        """Check the whole log; without `keyring` by its signatures alone.

        `public_key`: the one to trust; else the vault's own, else the one that the file names.
        Raises: `SealError`, `BadPublicKey`.
        """
        key, trusted = None, public_key
        if keyring is not None:
            key, own = sealed.open_audit_keys(self._connection, keyring)
            trusted = trusted or own
        verdict = check_log(
            self._connection,
            key,
            parse_public_key(trusted or self.public_key),
            anchors=anchors,
            progress=progress,
        )
        verdict.public_key = trusted or self.public_key
        if key is None:
            verdict.notes.append(
                "checked by its signatures alone: rows since the last checkpoint"
                f" ({verdict.unsigned}) are not covered, and a vault key would say more"
            )
        if trusted is None:
            verdict.notes.append(
                "checked with the public key that the file itself names; give --public-key"
            )
        return verdict

    def export(self, selection: Selection, spelling: ExportFormat) -> Iterator[bytes]:
        """Yield the lines of an export. Raises: `Damaged`."""
        return export_lines(self._connection, selection, self.public_key, spelling)


def is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


__all__ = ["BadPublicKey", "LogFile", "NoLog", "is_database"]
