"""Which API a command talks to: a remote gateway, the running one, or the stopped one's store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.client import Api, HttpApi, remote_api
from gateway.cli.configuration import data_dir_of, load_setup
from gateway.cli.failure import Failure, told
from gateway.cli.options import Target
from gateway.cli.ports import CONTROL_SOCKET

_START_S = 3.0


@contextmanager
def connected(
    target: Target,
    *,
    offline: bool = False,
    only_data_dir: bool = False,
    makes_store: bool = False,
) -> Iterator[Api]:
    """Yield the API that `target` names.

    `offline`: the command can also be done on a stopped gateway's store, and with `makes_store`
    before there is one. `only_data_dir`: mistakes elsewhere in the configuration do not matter.
    Raises `Failure`.
    """
    if target.url and target.key_file:
        yield remote_api(target.url, target.key_file, target.tls)
        return
    setup = None if only_data_dir else load_setup(target.config)
    data_dir = data_dir_of(target.config) if setup is None else setup.settings.data_dir
    deadline = time.monotonic() + _START_S
    while (holder := lock_holder(data_dir)) is not None:
        socket_path = data_dir / CONTROL_SOCKET
        if socket_path.exists():
            yield HttpApi(f"unix:{socket_path}")
            return
        if time.monotonic() > deadline:
            raise Failure(
                f"{data_dir} is in use by process {holder}, which has no {CONTROL_SOCKET} yet;"
                " wait until it has started, or stop it"
            )
        time.sleep(0.05)
    if not offline or setup is None:
        raise Failure("the gateway is not running; start it with `brokergate serve`")
    if not makes_store and not (data_dir / "journal.db").exists():
        # A wrong data_dir would be filled with an empty store, and the answer be "nothing".
        raise Failure(no_journal(data_dir))
    from gateway.cli.offline import offline_api

    with offline_api(setup) as api:
        yield api


def no_journal(data_dir: Path) -> str:
    """Say that there is nothing to look at, and the two reasons that it can have."""
    return (
        f"{data_dir} holds no journal: no gateway has run there yet. Start it with"
        " `brokergate serve`, or mend data_dir in the configuration"
    )


def lock_holder(data_dir: Path) -> str | None:
    """Name the process that holds the data directory's lock, or None. Makes nothing.

    Raises `Failure` where the directory is another user's, or none.
    """
    from gateway.store import DataDirLock, DataDirLocked, DataDirUnusable
    from gateway.store.lock import why_unusable

    try:
        (data_dir / "lock").stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(why_unusable(data_dir, error)) from error
    try:
        with told(DataDirUnusable), DataDirLock(data_dir):
            return None
    except DataDirLocked:
        try:
            return (data_dir / "lock").read_text().strip() or "unknown"
        except OSError:
            return "unknown"
