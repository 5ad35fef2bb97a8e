"""Whether certificate files can be served: what is wrong, which setting it is, how to mend it.

Everything is looked at before the HTTP server sees a file: it would stop with words that name no
setting, or not listen at all.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

CERT, KEY, CLIENT_CA = "server.tls.cert", "server.tls.key", "server.tls.client_ca"
CLIENT_CRL = "server.tls.client_crl"
# Long enough to renew in an office's hours, more than once.
WARN_AHEAD = timedelta(days=30)
_RENEW = "renew it (`brokergate tls renew` for one that `brokergate tls init` made)"
_LEAST_RSA_BITS = 2048
_CURVES = ("secp256r1", "secp384r1")


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong. `setting` is its full name in the configuration."""

    setting: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}. {self.fix}"


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What may be told of a certificate: nothing of it is secret. `names` are its SANs."""

    subject: str
    names: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    fingerprint: bytes

    def days_left(self, now: datetime) -> int:
        return (self.ends_at - now) // timedelta(days=1)


class _Unusable(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def read_pair(cert: Path) -> Pair:
    """Describe the certificate of a file that `pair_findings` found good. Raises `ValueError`."""
    try:
        return _described(_certificates(CERT, cert)[0])
    except _Unusable as error:
        raise ValueError(str(error)) from None


def authorities(client_ca: Path) -> list[Pair]:
    """Describe the certificates of a file that `client_ca_findings` found good."""
    try:
        return [_described(each) for each in _certificates(CLIENT_CA, client_ca)]
    except _Unusable as error:
        raise ValueError(str(error)) from None


def pair_findings(cert: Path, key: Path, now: datetime | None = None) -> list[Finding]:
    """Say all that keeps these two files from being served, nothing when they can be."""
    now = now or datetime.now(UTC)
    findings: list[Finding] = []
    leaf = private = None
    try:
        leaf = _certificates(CERT, cert)[0]
        findings += _dates(CERT, leaf, now)
        findings += _purpose(leaf)
    except _Unusable as error:
        findings.append(error.finding)
    findings += _mode(key)
    try:
        private = _private_key(key)
    except _Unusable as error:
        findings.append(error.finding)
    if leaf is not None and private is not None and _public(leaf) != private:
        findings.append(
            Finding(
                KEY,
                f"{key} is not the key of the certificate in {cert}",
                "Name the key that the certificate was made with; after a renewal both change",
            )
        )
    return findings


def client_ca_findings(client_ca: Path, now: datetime | None = None) -> list[Finding]:
    """Say what keeps this file from proving clients."""
    now = now or datetime.now(UTC)
    try:
        found = _certificates(CLIENT_CA, client_ca)
    except _Unusable as error:
        return [error.finding]
    if not any(_is_authority(each) for each in found):
        return [
            Finding(
                CLIENT_CA,
                f"{client_ca} holds no certificate of a CA, so no client could ever get in",
                "Name the CA's own certificate (ca.crt), not one that it signed",
            )
        ]
    dated = [list(_dates(CLIENT_CA, each, now)) for each in found]
    return dated[0] if all(dated) else []


def client_crl_findings(client_crl: Path, client_ca: Path) -> list[Finding]:
    """Say what keeps this list from taking back what it names, with a `client_ca` that is good.

    A CA without a list would have every client of its own refused, so each needs one. A list that
    was to be renewed still takes back what it names, and must keep no gateway from starting.
    """
    try:
        lists = _lists(client_crl)
        found = _certificates(CLIENT_CA, client_ca)
    except _Unusable as error:
        return [error.finding]
    return [
        Finding(
            CLIENT_CRL,
            f"{client_crl} holds no list that is signed by {authority.subject.rfc4514_string()}",
            "Have each CA of client_ca sign a list, an empty one where nothing is taken back",
        )
        for authority in found
        if not any(_is_signed_by(each, authority) for each in lists)
    ]


def _lists(path: Path) -> list[x509.CertificateRevocationList]:
    begin, end = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
    parts = _read(CLIENT_CRL, path).split(begin)[1:]
    try:
        found = [x509.load_pem_x509_crl(begin + part.partition(end)[0] + end) for part in parts]
    except ValueError:
        found = []
    if not found:
        words = f"{path} holds no revocation list in PEM form"
        raise _Unusable(
            Finding(CLIENT_CRL, words, "Name a PEM file that begins with BEGIN X509 CRL")
        )
    return found


def _is_signed_by(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    key = authority.public_key()
    kinds = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)
    same = crl.issuer == authority.subject
    return same and isinstance(key, kinds) and crl.is_signature_valid(key)


def _certificates(setting: str, path: Path) -> list[x509.Certificate]:
    data = _read(setting, path)
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError:
        found = []
    if not found:
        what = "a private key" if b"PRIVATE KEY" in data else "no certificate in PEM form"
        raise _Unusable(
            Finding(setting, f"{path} holds {what}", "Name a PEM file that begins with BEGIN CERT")
        )
    return found


def _private_key(path: Path) -> bytes:
    """Return the public half of the key. Never shows anything of what it read."""
    data = _read(KEY, path)
    try:
        private = load_pem_private_key(data, password=None)
    except TypeError:
        fix = f"Take the passphrase off: openssl pkey -in {path} -out new.key; chmod 600 new.key"
        raise _Unusable(Finding(KEY, f"{path} is encrypted with a passphrase", fix)) from None
    except (ValueError, UnsupportedAlgorithm):
        what = "a certificate" if b"BEGIN CERTIFICATE" in data else "no private key in PEM form"
        fix = "Name a PEM file that begins with BEGIN PRIVATE KEY"
        raise _Unusable(Finding(KEY, f"{path} holds {what}", fix)) from None
    served = (
        (isinstance(private, rsa.RSAPrivateKey) and private.key_size >= _LEAST_RSA_BITS)
        or (isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES)
        or isinstance(private, ed25519.Ed25519PrivateKey)
    )
    if not served:
        fix = "Use ECDSA P-256 or P-384, Ed25519, or RSA of 2048 bits or more"
        raise _Unusable(Finding(KEY, f"{path} is of a kind that is not served", fix))
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"{path} cannot be read: {(error.strerror or 'error').lower()}"
        fix = "Name a PEM file that the gateway's user may read"
        raise _Unusable(Finding(setting, problem, fix)) from None


def _mode(key: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        problem = f"{key} has mode {mode:04o}: others can read the private key or change it"
        yield Finding(KEY, problem, f"chmod 600 {key}; if others did read it, make a new key")


def _dates(setting: str, found: x509.Certificate, now: datetime) -> Iterator[Finding]:
    if now < found.not_valid_before_utc:
        problem = f"the certificate is not valid before {_day(found.not_valid_before_utc)}"
        yield Finding(setting, problem, "Check this machine's clock (timedatectl), or wait")
    elif now >= found.not_valid_after_utc:
        problem = f"the certificate expired at {_day(found.not_valid_after_utc)}"
        yield Finding(setting, problem, f"{_RENEW[0].upper()}{_RENEW[1:]}")


def _purpose(leaf: x509.Certificate) -> Iterator[Finding]:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & {*usage}:
        problem = "the certificate is not for servers, so that no client would take it"
        yield Finding(CERT, problem, "Name the server's certificate, not a client's")


def _is_authority(found: x509.Certificate) -> bool:
    try:
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return found.version is x509.Version.v1 and found.issuer == found.subject
    return constraints.value.ca


def _described(leaf: x509.Certificate) -> Pair:
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(name.value) for name in san)
    except (x509.ExtensionNotFound, ValueError):
        names = ()
    return Pair(
        subject=leaf.subject.rfc4514_string(),
        names=names,
        starts_at=leaf.not_valid_before_utc,
        ends_at=leaf.not_valid_after_utc,
        fingerprint=leaf.fingerprint(SHA256()),
    )


def _public(leaf: x509.Certificate) -> bytes:
    return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _day(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")
