"""The data directory: made, and kept to the user whose it is."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from gateway.config import Settings
from gateway.store import DataDirUnusable
from gateway.store.lock import why_unusable

log = logging.getLogger(__name__)


def data_dir_of(settings: Settings) -> Path:
    """Make the data directory, and keep others out of it and of what it holds already.

    Raises `DataDirUnusable`.
    """
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DataDirUnusable(why_unusable(settings.data_dir, error)) from error
    _keep_private(settings.data_dir, 0o700)
    for path in settings.data_dir.glob("*.db*"):
        _keep_private(path, 0o600)
    return settings.data_dir


def _keep_private(path: Path, allowed: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~allowed == 0:
        return
    try:
        path.chmod(mode & allowed)
    except OSError as error:
        log.error("%s has mode %04o, others may get at it, and: %s", path, mode, error)
    else:
        log.warning("%s had mode %04o; others were kept out of it", path, mode)
