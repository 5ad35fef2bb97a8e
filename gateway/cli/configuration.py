"""The configuration and the master key as commands find them."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gateway.cli.failure import Failure, told

if TYPE_CHECKING:
    from adapters.sdk.interface import AdapterPlugin
    from gateway.config import Settings
    from gateway.secrets import MasterKey

CONFIG_FILE = "brokergate.yaml"
KEY_FILE = "master.key"
_DATA_DIR = re.compile(r"^[\"']?data_dir[\"']?\s*:\s*([^\s#{\[][^#\n]*?)\s*(?:#.*)?$", re.MULTILINE)


class Setup(NamedTuple):
    """A loaded configuration, the file it came from, and the adapters at hand."""

    settings: Settings
    plugins: dict[str, AdapterPlugin]
    path: Path | None


def find_config(given: str | None) -> Path | None:
    """Return the file to read: the one given, ./brokergate.yaml, or the user's own.

    None when there is no file but the environment holds settings. Raises `Failure`.
    """
    if given:
        return Path(given)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for path in (Path(CONFIG_FILE), home / "brokergate" / CONFIG_FILE):
        if path.is_file():
            return path
    settings = ("DATA_DIR", "ACCOUNTS", "SERVER__", "GROUPS")
    if any(name.startswith(f"BROKERGATE_{key}") for name in os.environ for key in settings):
        return None
    raise Failure(
        f"no configuration: there is no {CONFIG_FILE} here; make one with `brokergate init`,"
        " or name it with --config"
    )


def load_setup(config: str | None) -> Setup:
    """Load configuration and adapters. Raises `Failure` with every mistake there is."""
    from gateway.brokers import load_plugins
    from gateway.config import ConfigError, load_settings

    path = find_config(config)
    with told(RuntimeError):
        plugins = load_plugins()
    with told(ConfigError):
        settings = load_settings(
            path, {name: plugin.capabilities for name, plugin in plugins.items()}
        )
    return Setup(settings, plugins, path)


def data_dir_of(config: str | None) -> Path:
    """Return the data directory, also of a configuration that has mistakes elsewhere.

    What has to be stopped cannot wait until a file is mended. Raises `Failure`.
    """
    try:
        return load_setup(config).settings.data_dir
    except Failure:
        path = find_config(config)
        given = os.environ.get("BROKERGATE_DATA_DIR")
        if path is not None and not given:
            given = _data_dir_in(path)
        if not given:
            raise
    folder = path.absolute().parent if path is not None else Path.cwd()
    return folder / Path(given).expanduser()


def _data_dir_in(path: Path) -> str | None:
    """Find the key in the text: a file with mistakes may be no YAML at all."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = _DATA_DIR.search(text)
    return found[1].strip("\"'") if found else None


def master_key_of(setup: Setup) -> MasterKey:
    """As `find_master_key`, but a vault under a passphrase is asked for that. Raises `Failure`."""
    from gateway.secrets import MasterKeyError, SealError
    from gateway.secrets.passphrase import key_from
    from gateway.store.schema import StoreError
    from gateway.store.sealed import stretching_of

    key = master_key_at_hand(setup.path)
    if key is not None or sys.stdin is None or not sys.stdin.isatty():
        return key or find_master_key(setup.path)
    with told(MasterKeyError, SealError, StoreError, OSError):
        stretching = stretching_of(setup.settings.data_dir / "journal.db")
        if stretching is not None:
            return key_from(getpass.getpass("Passphrase of the vault: "), stretching)
    return find_master_key(setup.path)


def master_key_at_hand(config: Path | None) -> MasterKey | None:
    """As `find_master_key`, but nobody is asked: None where there is none for this user.

    A service's key file is root's; only the service manager hands it on. Raises `Failure`.
    """
    from gateway.secrets.master_key import MasterKeyMissing

    def nobody(_: str) -> str:
        raise MasterKeyMissing("nobody is asked")

    try:
        return find_master_key(config, prompt=nobody)
    except Failure as failure:
        cause = failure.__cause__
        if isinstance(cause, MasterKeyMissing):
            return None
        if cause is not None and isinstance(cause.__cause__, PermissionError):
            return None
        raise


def find_master_key(
    config: Path | None, *, prompt: Callable[[str], str] | None = None
) -> MasterKey:
    """Find the master key in the order of design section 5, before the prompt beside the file.

    The key file that `init` wrote next to the configuration counts as a default of
    BROKERGATE_MASTER_KEY_FILE: whatever is set explicitly goes before it. Raises `Failure`.
    """
    from gateway.secrets import MasterKeyError, load_master_key
    from gateway.secrets.master_key import FILE_VARIABLE, KEY_VARIABLE, MasterKeyMissing

    environ = dict(os.environ)
    if config is not None and not environ.get(FILE_VARIABLE) and not environ.get(KEY_VARIABLE):
        beside = config.absolute().parent / KEY_FILE
        if beside.is_file():
            environ[FILE_VARIABLE] = str(beside)
    try:
        return load_master_key(environ, prompt=prompt)
    except MasterKeyMissing as error:
        beside = (config.absolute().parent if config is not None else Path.cwd()) / KEY_FILE
        raise Failure(
            f"{error}. `brokergate init` made one as {KEY_FILE}: put it back as {beside}"
        ) from error
    except MasterKeyError as error:
        raise Failure(str(error)) from error
