"""A data directory in one file, and back."""

from gateway.backup.archive import BackupError, Manifest, make_backup, restore_backup

__all__ = ["BackupError", "Manifest", "make_backup", "restore_backup"]
