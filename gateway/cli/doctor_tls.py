"""What `brokergate doctor` says of the listener's certificates: usable, for how long, in use."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gateway.config import Server
    from gateway.tls import Pair

_ANSWER_S = 5.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Check(msgspec.Struct, kw_only=True):
    """One thing looked at. `ok` None: worth knowing, not wrong."""

    name: str
    ok: bool | None
    detail: str
    fix: str | None = None


def tls_checks(server: Server) -> Iterator[Check]:
    """Look at the certificate files, their dates, and what a running gateway serves."""
    from gateway.serve import NotSecure, assert_secure, tls_findings

    tls = server.tls
    if tls.cert is None:
        try:
            assert_secure(server)
        except NotSecure as error:
            yield Check(name="TLS", ok=False, detail=str(error))
            return
        detail = f"none needed: {server.host} is this machine only"
        yield Check(name="TLS", ok=None, detail=detail)
        return
    findings = tls_findings(server)
    for finding in findings:
        yield Check(
            name="TLS", ok=False, detail=f"{finding.setting}: {finding.problem}", fix=finding.fix
        )
    if findings:
        return
    yield from _dates(server)


def _dates(server: Server) -> Iterator[Check]:
    from gateway.tls.checks import WARN_AHEAD, authorities, read_pair

    assert server.tls.cert is not None  # noqa: S101
    now = datetime.now(UTC)
    pair = read_pair(server.tls.cert)
    clients = "only with a client certificate" if server.tls.client_ca else "anybody with a key"
    detail = (
        f"{pair.subject} for {', '.join(pair.names) or 'no name'}, until"
        f" {pair.ends_at:%Y-%m-%d} ({pair.days_left(now)} days); TLS {server.tls.min_version} and"
        f" up; lets in {clients}"
    )
    soon = pair.ends_at - now <= WARN_AHEAD
    fix = "renew it; `brokergate tls renew` where `brokergate tls init` made it" if soon else None
    yield Check(name="TLS", ok=None if soon else True, detail=detail, fix=fix)
    if not pair.names:
        detail = "the certificate has no subjectAltName: clients will not take it"
        yield Check(name="TLS names", ok=False, detail=detail, fix="make one that has names")
    for each in authorities(server.tls.client_ca) if server.tls.client_ca else ():
        if each.ends_at - now <= WARN_AHEAD:
            detail = f"the clients' CA {each.subject} ends at {each.ends_at:%Y-%m-%d}"
            fix = "make a new CA and new client certificates before that"
            yield Check(name="TLS clients", ok=each.ends_at > now, detail=detail, fix=fix)
    yield from _served(server, pair)


def _served(server: Server, pair: Pair) -> Iterator[Check]:
    """Compare what the port serves with the file: a gateway keeps what it could not renew."""
    from cryptography.hazmat.primitives.hashes import SHA256, Hash

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host = _EVERYWHERE.get(server.host, server.host)
    try:
        plain = socket.create_connection((host, server.port), timeout=_ANSWER_S)
        with plain, context.wrap_socket(plain) as secure:
            served = secure.getpeercert(binary_form=True) or b""
    except OSError:
        return
    digest = Hash(SHA256())
    digest.update(served)
    if digest.finalize() == pair.fingerprint:
        yield Check(name="TLS in use", ok=True, detail="the port serves this certificate")
    else:
        yield Check(
            name="TLS in use",
            ok=False,
            detail=f"port {server.port} serves another certificate than {server.tls.cert}",
            fix="look into the gateway's log for why it was not taken; a restart takes it",
        )
