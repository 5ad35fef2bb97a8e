"""Backups: a tar file of a manifest, the journal, the adapters' own books and the holidays, and
what stops orders beside the journal: the KILL file, and what the journal could not take.

Made while the gateway runs or not, and without the master key: what is sealed stays sealed.
Instruments and candles are left out, since they are fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath

import msgspec

from gateway.kill import Engagement, Level, Scope
from gateway.kill.file import KILL_FILE
from gateway.kill.switch import RESTORED
from gateway.orders.times import now_us
from gateway.store import KillRow, snapshot
from gateway.store.emergency import FILE as EMERGENCY

_FORMAT = 1
_MANIFEST = "brokergate-backup.json"
_JOURNAL = "journal.db"
_FOLDER = "adapters"
_HOLIDAYS = "holidays.json"
_SINGLE = (_HOLIDAYS, EMERGENCY, KILL_FILE)
_MOST_MANIFEST = 4 * 1024 * 1024


class BackupError(RuntimeError):
    """A backup could not be made or is not usable. The text says what to do."""


class Manifest(msgspec.Struct, kw_only=True):
    """`files`: SHA-256 by name. `audit_head`: an anchor for the audit log, its last row's seal."""

    format: int
    made_at: datetime
    journal_version: int
    audit_seq: int
    audit_head: str
    files: dict[str, str]


def make_backup(data_dir: Path, target: Path) -> Manifest:
    """Write a new file of mode 0600, on disk when this returns.

    Raises: `BackupError`, `FileExistsError`, `OSError`, `StoreError`.
    """
    journal = data_dir / _JOURNAL
    if not journal.exists():
        raise BackupError(f"{journal} does not exist: there is nothing to back up")
    if target.exists():
        raise BackupError(f"{target} exists; a backup never overwrites: name another file")
    if not target.absolute().parent.is_dir():
        raise BackupError(f"there is no folder {target.absolute().parent}: make it first")
    with tempfile.TemporaryDirectory(dir=target.absolute().parent, prefix=".backup-") as name:
        folder = Path(name)
        # Before the journal, which knows each of its lines once it took them.
        with contextlib.suppress(FileNotFoundError):
            snapshot.copy_file(data_dir / EMERGENCY, folder / EMERGENCY)
        try:
            facts = snapshot.copy_journal(journal, folder / _JOURNAL)
        except snapshot.LegsWaiting as error:
            raise BackupError(str(error)) from error
        for relative in _others(data_dir):
            copy = folder / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            snapshot.copy_file(data_dir / relative, copy)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        manifest = Manifest(
            format=_FORMAT,
            made_at=datetime.now(UTC),
            journal_version=facts.version,
            audit_seq=facts.audit_seq,
            audit_head=facts.audit_head,
            files={path.relative_to(folder).as_posix(): _digest(path) for path in files},
        )
        (folder / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
        packed = folder / "packed"
        with tarfile.open(packed, "w") as tar:
            for member in (_MANIFEST, *manifest.files):
                tar.add(folder / member, member)
        packed.chmod(0o600)
        _sync(packed)
        # A link, unlike a rename, never takes the place of a file that came in between.
        os.link(packed, target)
        _sync(target.absolute().parent)
    return manifest


def restore_backup(source: Path, data_dir: Path, accounts: Iterable[str] = ()) -> Manifest:
    """Unpack a backup into a data directory that has no journal. The caller holds its lock.

    Each of `accounts`, and each account that the journal knows, is at HALT_NEW afterwards until
    its book was read: what was done since the backup is not in the journal. Where somebody had
    engaged the kill switch for it, it stands until it is released.

    Raises: `BackupError`, `OSError`, `StoreError`.
    """
    ours = (_JOURNAL, _FOLDER, _HOLIDAYS, EMERGENCY)
    taken = [name for name in ours if (data_dir / name).exists()]
    if taken:
        raise BackupError(
            f"{data_dir} holds {', '.join(taken)}; a restore never overwrites:"
            " move it away first, or restore into an empty data_dir"
        )
    folder = Path(tempfile.mkdtemp(dir=data_dir, prefix=".restore-"))
    try:
        manifest = _unpack(source, folder)
        problem = snapshot.unusable(folder / _JOURNAL)
        if problem is not None:
            raise BackupError(f"{source}: its journal {problem}")
        stopped = snapshot.known_accounts(folder / _JOURNAL) | set(accounts)
        snapshot.engage(folder / _JOURNAL, sorted(stopped), partial(_stopped, manifest))
        for path in folder.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
            _sync(path)
        # The journal last: without it the directory is not taken for a restored one.
        for name in (_FOLDER, *_SINGLE, _JOURNAL):
            # A KILL file that is there already stops orders as well.
            if (folder / name).exists() and not (data_dir / name).exists():
                (folder / name).rename(data_dir / name)
                _sync(data_dir)
    finally:
        shutil.rmtree(folder)
    return manifest


def _others(data_dir: Path) -> Iterator[Path]:
    for name in (_HOLIDAYS, KILL_FILE):
        if (data_dir / name).is_file():
            yield Path(name)
    for path in sorted((data_dir / _FOLDER).rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(("-wal", "-shm")):
            yield path.relative_to(data_dir)


def _unpack(source: Path, folder: Path) -> Manifest:
    try:
        with tarfile.open(source, "r:") as tar:
            manifest = _manifest(tar)
            for name, digest in manifest.files.items():
                path = folder / _checked(name)
                path.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(name)
                if content is None:
                    raise BackupError(f"{source}: {name} is not a file")
                with content, path.open("xb") as file:
                    shutil.copyfileobj(content, file)
                if _digest(path) != digest:
                    raise BackupError(f"{source}: {name} was changed or cut; use another backup")
    except (tarfile.TarError, KeyError, msgspec.MsgspecError) as error:
        raise BackupError(f"{source} is not a whole brokergate backup: {error}") from error
    if _JOURNAL not in manifest.files:
        raise BackupError(f"{source} holds no {_JOURNAL}")
    return manifest


def _manifest(tar: tarfile.TarFile) -> Manifest:
    content = tar.extractfile(_MANIFEST)
    if content is None:
        raise KeyError(_MANIFEST)
    with content:
        manifest = msgspec.json.decode(content.read(_MOST_MANIFEST), type=Manifest)
    if manifest.format != _FORMAT:
        raise BackupError(
            f"the backup has format {manifest.format}, this brokergate knows {_FORMAT};"
            " use the program that made it"
        )
    return manifest


def _checked(name: str) -> PurePosixPath:
    """Refuse a name that would be written elsewhere than a backup's files belong."""
    path = PurePosixPath(name)
    inside = name in (_JOURNAL, *_SINGLE) or (len(path.parts) > 1 and path.parts[0] == _FOLDER)
    if not inside or ".." in path.parts:
        raise BackupError(f"{name!r} does not belong into a backup")
    return path


def _stopped(manifest: Manifest, account: str, standing: KillRow | None) -> KillRow | None:
    """Halt an account until its book was read. What somebody had engaged ends by his word only."""
    if standing is None:
        return _row(_waiting(manifest, account))
    try:
        engaged = msgspec.json.decode(standing.data, type=Engagement)
    except (msgspec.MsgspecError, TypeError):
        return None  # a row that cannot be read stops everything when the gateway starts
    if engaged.level.rank >= Level.HALT_NEW.rank:
        return None
    # Not one that ends by itself: reducing would end with it.
    return _row(msgspec.structs.replace(engaged, level=Level.HALT_NEW))


def _waiting(manifest: Manifest, account: str) -> Engagement:
    made = manifest.made_at.isoformat(timespec="seconds")
    return Engagement(
        id="kill_" + secrets.token_hex(8),
        scope=Scope.ACCOUNT,
        target=account,
        level=Level.HALT_NEW,
        reason=f"restored from the backup of {made}: what was done since is not in the journal;"
        " ends by itself once the account's order book was read: log it in",
        source=RESTORED,
        engaged_us=now_us(),
        actor={"client": "restore"},
    )


def _row(engagement: Engagement) -> KillRow:
    data = msgspec.json.encode(engagement)
    target = engagement.target or ""
    return KillRow(scope=engagement.scope, target=target, level=engagement.level, data=data)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
