"""Where the master key comes from. It seals everything else and is never stored by the gateway."""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEY_BYTES = 32
CREDENTIAL = "brokergate-master-key"
FILE_VARIABLE = "BROKERGATE_MASTER_KEY_FILE"
KEY_VARIABLE = "BROKERGATE_MASTER_KEY"

# A key is 43 characters; anything longer is not a key file, and is not read whole to find out.
_MOST_READ = 1024


class MasterKeyError(Exception):
    """No usable master key. The text names the source and the remedy, never the key."""


class MasterKeyMissing(MasterKeyError):
    """No source has one, and there is nobody to ask."""


@dataclass(frozen=True)
class MasterKey:
    """The key-encryption key, and where it was found."""

    key: bytes = field(repr=False)
    source: str

    def text(self) -> str:
        """Return the key as it is written in a key file. Secret."""
        return base64.urlsafe_b64encode(self.key).rstrip(b"=").decode()


def load_master_key(
    environ: Mapping[str, str] = os.environ,
    *,
    prompt: Callable[[str], str] | None = None,
) -> MasterKey:
    """Find the master key: systemd credential, key file, environment, prompt; first found wins.

    A source that is present but unusable is an error: the search never goes on past it, since
    a different key further down would make sealed data unreadable. `prompt` asks a person, and
    defaults to the terminal when there is one.

    Raises:
        MasterKeyError: nothing found, or the source found is unusable.
    """
    if directory := environ.get("CREDENTIALS_DIRECTORY"):
        path = Path(directory) / CREDENTIAL
        if path.exists():
            # systemd grants a service's user its credential through an access list, which
            # shows as mode 0440; the directory around it is private to the service.
            source = f"systemd credential {CREDENTIAL}"
            return MasterKey(_decode(_read(path, source, allowed=0o640), source), source)
    if name := environ.get(FILE_VARIABLE):
        source = f"{FILE_VARIABLE} ({name})"
        return MasterKey(_decode(_read(Path(name), source, allowed=0o600), source), source)
    if text := environ.get(KEY_VARIABLE):
        return MasterKey(_decode(text, KEY_VARIABLE), KEY_VARIABLE)
    if prompt is None and sys.stdin is not None and sys.stdin.isatty():
        prompt = getpass.getpass
    if prompt is None:
        raise MasterKeyMissing(
            f"no master key: set {FILE_VARIABLE} to a file of mode 0600, or {KEY_VARIABLE} to "
            f"32 bytes in base64url, or load the systemd credential {CREDENTIAL}"
        )
    return MasterKey(_decode(prompt("Master key: "), "the prompt"), "the prompt")


def generate_master_key(source: str = "generated") -> MasterKey:
    """Make a new random master key."""
    return MasterKey(secrets.token_bytes(KEY_BYTES), source)


def write_key_file(path: Path, key: MasterKey) -> None:
    """Write the key to a new file of mode 0600, on disk when this returns.

    Raises:
        FileExistsError: the file is there already; a key is never overwritten.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.text() + "\n")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path, source: str, *, allowed: int) -> str:
    try:
        with path.open("rb") as file:
            # The mode of what was opened, not of what the path may name a moment later.
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MOST_READ)
    except OSError as error:
        raise MasterKeyError(f"{source}: cannot read the key file: {error.strerror}") from error
    if mode & ~allowed:
        raise MasterKeyError(
            f"{source}: mode {mode:04o} lets others at the master key; run: chmod 600 {path}"
        )
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise MasterKeyError(f"{source}: the file is not text in base64url") from None


def _decode(text: str, source: str) -> bytes:
    stripped = text.strip().rstrip("=")
    wanted = "32 bytes in base64url, which is 43 characters"
    if "+" in stripped or "/" in stripped:
        raise MasterKeyError(f"{source}: has + or /; base64url has - and _ instead")
    try:
        key = base64.b64decode(stripped + "=" * (-len(stripped) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        # The decoder's own message may quote the key, so it is not chained.
        raise MasterKeyError(
            f"{source}: is not base64url ({len(stripped)} characters); want {wanted}"
        ) from None
    if len(key) != KEY_BYTES:
        raise MasterKeyError(f"{source}: holds {len(key)} bytes; want {wanted}")
    if base64.urlsafe_b64encode(key).rstrip(b"=").decode() != stripped:
        raise MasterKeyError(
            f"{source}: the last character is not one an encoder writes; mistyped?"
        )
    return key
