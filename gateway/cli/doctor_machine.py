"""What the doctor looks at outside the gateway: files, disk, clock, and the way to the brokers."""

from __future__ import annotations

import http.client
import ipaddress
import shutil
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gateway.cli.configuration import KEY_FILE, Setup
from gateway.cli.doctor_tls import Check

if TYPE_CHECKING:
    from gateway.config import Account

_ANSWER_S = 4.0
_SKEW_NOTED_S = 2.0
_SKEW_BAD_S = 15.0
_GATEWAY_ERRORS = (OSError, http.client.HTTPException, ValueError)


def file_checks(setup: Setup) -> Iterator[Check]:
    """Find files that others can read, and a configuration that others can change."""
    data_dir = setup.settings.data_dir
    # In a folder that keeps others out, the modes of files do not matter.
    is_open = data_dir.is_dir() and _mode(data_dir) & 0o077
    private = [path for path in data_dir.rglob("*") if path.is_file()] if is_open else []
    if setup.path is not None:
        beside = setup.path.absolute().parent / KEY_FILE
        private += [beside] if beside.is_file() else []
    open_ = sorted(str(path) for path in private if _mode(path) & 0o077)
    if open_:
        shown = ", ".join(open_[:5]) + (f" and {len(open_) - 5} more" if len(open_) > 5 else "")
        fix = f"chmod 600 {' '.join(open_[:5])}"
        yield Check(name="file modes", ok=False, detail=f"others can get at {shown}", fix=fix)
    else:
        yield Check(name="file modes", ok=True, detail="keys and data are nobody else's")
    if setup.path is not None and _mode(setup.path) & 0o022:
        detail = f"others can change {setup.path}, and with it where logins are sent"
        fix = f"chmod go-w {setup.path}"
        yield Check(name="configuration file", ok=False, detail=detail, fix=fix)


def disk_check(setup: Setup) -> Check:
    """Compare what is left on the data directory's disk with what alerts ask for."""
    folder = setup.settings.data_dir
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free_mb = shutil.disk_usage(folder).free // (1024 * 1024)
    least = setup.settings.alerts.disk_free_mb
    detail = f"{free_mb} MB left at {folder}; alerts.disk_free_mb is {least}"
    if free_mb >= least:
        return Check(name="disk", ok=True, detail=detail)
    fix = "make room, or move data_dir: a full disk stops trading"
    return Check(name="disk", ok=False, detail=detail, fix=fix)


class Host(NamedTuple):
    """One broker host and what asking it showed. `skew_s`: how far this clock is ahead."""

    name: str
    url: str
    error: str | None = None
    skew_s: float | None = None
    local: str | None = None


def network_checks(setup: Setup) -> Iterator[Check]:
    """Ask each broker's host for the time, all at once, without any credential."""
    wanted = {}
    for account in setup.settings.accounts:
        hosts = {**setup.plugins[account.broker].capabilities.hosts, **account.base_urls}
        for url in hosts.values():
            parts = urlsplit(url)
            if parts.hostname:
                origin = f"{parts.scheme}://{parts.netloc}"
                wanted[account.id, origin] = (account, origin)
    found = _ask_all(list(wanted.values()))
    yield _reachable(found)
    yield _clock(found)
    for account in setup.settings.accounts:
        yield from _address_checks(account, [each for each in found if each.name == account.id])


def _reachable(found: list[Host]) -> Check:
    lost = [f"{each.url} ({each.error})" for each in found if each.error]
    if lost:
        detail = f"not reached: {', '.join(dict.fromkeys(lost))}"
        fix = "let these hosts through the firewall, or mend the network"
        return Check(name="broker hosts", ok=None, detail=detail, fix=fix)
    count = len({each.url for each in found})
    return Check(name="broker hosts", ok=True if count else None, detail=f"{count} reached")


def _clock(found: list[Host]) -> Check:
    skews = sorted((each.skew_s for each in found if each.skew_s is not None), key=abs)
    if not skews:
        return Check(name="clock", ok=None, detail="no broker's host told the time")
    # The one that agrees best: a host's own clock may be wrong, this one agrees with none then.
    skew_s = skews[0]
    detail = f"{abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} the brokers' clocks"
    if abs(skew_s) < _SKEW_NOTED_S:
        return Check(name="clock", ok=True, detail="agrees with the brokers' clocks")
    fix = "keep the clock by NTP: timedatectl set-ntp true"
    return Check(
        name="clock", ok=False if abs(skew_s) > _SKEW_BAD_S else None, detail=detail, fix=fix
    )


def _address_checks(account: Account, found: list[Host]) -> Iterator[Check]:
    """Compare the address that calls leave from with the ones that the broker was told."""
    name = f"address of {account.id}"
    source, registered = account.source_address, account.registered_ips
    if source is not None and not _is_ours(source):
        detail = f"source_address {source} is no address of this machine: no call can leave"
        yield Check(name=name, ok=False, detail=detail, fix="use one that `ip address` shows")
        return
    if not registered:
        return
    local = source or next((each.local for each in found if each.local), None)
    if local is None:
        yield Check(name=name, ok=None, detail="no host was reached, so none can be told")
    elif local in registered:
        yield Check(name=name, ok=True, detail=f"calls leave from {local}, which is registered")
    elif ipaddress.ip_address(local).is_global:
        detail = f"calls leave from {local}; registered_ips has {', '.join(registered)}"
        fix = "register it at the broker and here, or set source_address to a registered one"
        yield Check(name=name, ok=False, detail=detail, fix=fix)
    else:
        detail = (
            f"calls leave from {local}, which a router translates: what brokers see cannot be told"
            f" from here; it must be one of {', '.join(registered)}"
        )
        yield Check(name=name, ok=None, detail=detail, fix="compare with the router's address")


def _ask_all(wanted: list[tuple[Account, str]]) -> list[Host]:
    found: dict[int, Host] = {}

    def ask(at: int, account: Account, origin: str) -> None:
        found[at] = _ask(account, origin)

    threads = []
    for at, (account, origin) in enumerate(wanted):
        # A host that hangs must not hold up the end of the program either.
        thread = threading.Thread(target=ask, args=(at, account, origin), daemon=True)
        thread.start()
        threads.append(thread)
    deadline = time.monotonic() + 2 * _ANSWER_S
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return [
        found.get(at) or Host(account.id, origin, error="no answer in time")
        for at, (account, origin) in enumerate(wanted)
    ]


def _ask(account: Account, origin: str) -> Host:
    parts = urlsplit(origin)
    source = (account.source_address, 0) if account.source_address else None
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(
                cafile=str(account.ca_file) if account.ca_file else None
            )
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname or "",
                parts.port,
                timeout=_ANSWER_S,
                source_address=source,
                context=context,
            )
        else:
            connection = http.client.HTTPConnection(
                parts.hostname or "", parts.port, timeout=_ANSWER_S, source_address=source
            )
        try:
            before = datetime.now(UTC)
            connection.request("HEAD", "/")
            local = str(connection.sock.getsockname()[0])
            told = connection.getresponse().getheader("Date")
            after = datetime.now(UTC)
        finally:
            connection.close()
        if told is None:
            return Host(account.id, origin, local=local)
        here = before + (after - before) / 2
        # The header has whole seconds, cut off.
        skew_s = (here - parsedate_to_datetime(told)).total_seconds() - 0.5
        return Host(account.id, origin, skew_s=skew_s, local=local)
    except _GATEWAY_ERRORS as error:
        return Host(account.id, origin, error=type(error).__name__)


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0
