"""The exclusive lock on a data directory: one gateway, or one offline command, at a time."""

from __future__ import annotations

import fcntl
import os
import pwd
from pathlib import Path
from types import TracebackType


class DataDirLocked(RuntimeError):
    """Another brokergate process holds this data directory."""


class DataDirUnusable(OSError):
    """The data directory cannot be made or opened. The text says why and what to do."""


class DataDirLock:
    """Held from `acquire` until `release`; the kernel drops it when the process dies."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._fd: int | None = None

    def acquire(self) -> DataDirLock:
        """Take the lock at once. Makes the directory (mode 0700).

        Raises: `DataDirLocked`, `DataDirUnusable`.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirUnusable(why_unusable(self._path.parent, error)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise DataDirLocked(
                f"{self._path.parent} is in use by another brokergate (process {holder});"
                " stop it, or use its API"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd
        return self

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> DataDirLock:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def why_unusable(data_dir: Path, error: OSError) -> str:
    """Say what is in the way of using a data directory, and what to do about it."""
    if data_dir.exists() and not data_dir.is_dir():
        return f"{data_dir} is a file, not a folder: give data_dir another path"
    if isinstance(error, PermissionError):
        owner = _owner(data_dir)
        if owner is not None:
            return (
                f"{data_dir} belongs to the user {owner}: run this as that user, as in"
                f" `sudo -u {owner} brokergate ...`"
            )
    return (
        f"the data directory {data_dir} cannot be used: {error.strerror};"
        " give data_dir a path that this user may write to"
    )


def _owner(folder: Path) -> str | None:
    """Name the user that a folder belongs to; None where that is this process's own, or none."""
    try:
        uid = folder.stat().st_uid
    except OSError:
        return None
    if uid == os.geteuid() and os.access(folder, os.W_OK | os.X_OK):
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
