"""The folder that `brokergate tls` keeps: which files are in it, and how they are written."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.tls.authority import Authority, Issued, NotAnAuthority
from gateway.tls.checks import read_pair

_ALWAYS = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
# Nobody is asked: connecting a datagram socket only looks up the route. RFC 5737, RFC 3849.
_SOMEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What was written. Times are RFC 3339."""

    files: list[str]
    hosts: list[str]
    clients: list[str]
    server_ends_at: str | None
    ca_ends_at: str


class TlsFolder:
    """Every file has mode 0600, certificates too: whoever needs one is given it on purpose."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def init(self, hosts: list[str], clients: list[str], days: int) -> Made:
        """Make a CA and all certificates. Raises `FileExistsError` before anything is written."""
        hosts = list(dict.fromkeys((*hosts, *_ALWAYS)))
        authority, itself = Authority.create(socket.gethostname() or "this machine")
        files = _pair("ca", itself)
        server = authority.server(hosts, days)
        files |= _pair("server", server)
        for name in clients:
            files |= _pair(f"client-{name}", authority.client(name, days))
        self._write(files)
        return self._made(files, hosts, clients, server, authority)

    def client(self, name: str, days: int) -> Made:
        """Make one more client certificate. Raises `NotAnAuthority`, `FileExistsError`."""
        authority = self._authority()
        files = _pair(f"client-{name}", authority.client(name, days))
        self._write(files)
        return self._made(files, [], [name], None, authority)

    def renew(self, hosts: list[str] | None, days: int) -> Made:
        """Replace the server's pair, by default for the names it has. Raises `NotAnAuthority`."""
        authority = self._authority()
        if hosts is None:
            try:
                hosts = list(read_pair(self.path("server.crt")).names)
            except ValueError as error:
                raise NotAnAuthority(f"{error}; name the hosts with --host") from None
        hosts = list(dict.fromkeys((*hosts, *_ALWAYS)))
        server = authority.server(hosts, days)
        files = _pair("server", server)
        # The key first: until its certificate follows, the two do not fit, and are not taken.
        for name in ("server.key", "server.crt"):
            waiting = self.path(f".{name}.new")
            with suppress(FileNotFoundError):
                waiting.unlink()
            _write_new(waiting, files[name])
            waiting.replace(self.path(name))
        return self._made(files, hosts, [], server, authority)

    def _authority(self) -> Authority:
        cert, key = self.path("ca.crt"), self.path("ca.key")
        missing = [str(file) for file in (cert, key) if not file.is_file()]
        if missing:
            raise NotAnAuthority(
                f"there is no {' and no '.join(missing)}; make a CA with `brokergate tls init`,"
                " or put its key back for as long as you need it"
            )
        return Authority.load(cert.read_bytes(), key.read_bytes())

    def _write(self, files: dict[str, bytes]) -> None:
        there = [name for name in files if self.path(name).exists()]
        if there:
            raise FileExistsError(
                f"{self.folder} already has {', '.join(there)}; nothing was changed."
                " `brokergate tls renew` replaces the server's certificate,"
                " `brokergate tls client NAME` makes another caller's; for a new CA move the"
                " files away or choose another --dir"
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in files.items():
            _write_new(self.path(name), data)

    def _made(
        self,
        files: Iterable[str],
        hosts: list[str],
        clients: list[str],
        server: Issued | None,
        authority: Authority,
    ) -> Made:
        return Made(
            files=[str(self.path(name)) for name in files],
            hosts=hosts,
            clients=clients,
            server_ends_at=server.ends_at.isoformat(timespec="seconds") if server else None,
            ca_ends_at=authority.ends_at.isoformat(timespec="seconds"),
        )


def default_hosts(listens_on: str | None) -> list[str]:
    """Name this machine as callers may: its configured address, its name, its own addresses."""
    found = [listens_on] if listens_on and listens_on not in _EVERYWHERE else []
    name = socket.gethostname()
    if name and all(c.isalnum() or c in ".-" for c in name) and any(c.isalpha() for c in name):
        found.append(name)
    for family, address in _SOMEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as route:
            route.connect((address, 9))
            found.append(route.getsockname()[0])
    return list(dict.fromkeys(found))


def _pair(name: str, issued: Issued) -> dict[str, bytes]:
    return {f"{name}.crt": issued.cert, f"{name}.key": issued.key}


def _write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet, with mode 0600 from its first moment."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
