"""A certificate authority of one's own, for gateways that no public one gives certificates to.

Keys are ECDSA P-256. The authority signs servers and clients, never another authority.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
# A clock that is slow by so much still takes what was signed just now.
_SKEW = timedelta(minutes=10)
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class NotAnAuthority(ValueError):
    """The files given are not those of an authority that can sign."""


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate and its private key, both in PEM form. Shows neither."""

    cert: bytes
    key: bytes
    ends_at: datetime

    def __repr__(self) -> str:
        return f"Issued(ends_at={self.ends_at.isoformat()})"


class Authority:
    """Signs certificates. Make a new one with `create`, take up an old one with `load`."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str, now: datetime | None = None) -> tuple[Authority, Issued]:
        """Make an authority; `name` says in certificates whose it is."""
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(f"brokergate CA of {name}"[:64])
        ends_at = now + timedelta(days=CA_DAYS)
        certificate = (
            _builder(subject, subject, key.public_key(), now, ends_at)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key), _issued(certificate, key)

    @classmethod
    def load(cls, cert: bytes, key: bytes) -> Authority:
        """Take up an authority that `create` made. Raises `NotAnAuthority`."""
        try:
            certificate = x509.load_pem_x509_certificate(cert)
            private = load_pem_private_key(key, password=None)
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        except (ValueError, TypeError, x509.ExtensionNotFound):
            raise NotAnAuthority("these are not the certificate and the key of a CA") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not constraints.value.ca:
            raise NotAnAuthority("this CA was not made by `brokergate tls init`")
        if private.public_key() != certificate.public_key():
            raise NotAnAuthority("the key is not that of the CA's certificate")
        return cls(certificate, private)

    @property
    def ends_at(self) -> datetime:
        return self._certificate.not_valid_after_utc

    def server(self, hosts: Sequence[str], days: int, now: datetime | None = None) -> Issued:
        """Sign a server's certificate for these names and addresses."""
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        return self._sign(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, days, now, names)

    def client(self, name: str, days: int, now: datetime | None = None) -> Issued:
        """Sign a client's certificate. The gateway asks only that it is this authority's."""
        return self._sign(name, ExtendedKeyUsageOID.CLIENT_AUTH, days, now, None)

    def _sign(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        days: int,
        now: datetime | None,
        names: x509.SubjectAlternativeName | None,
    ) -> Issued:
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        ends_at = min(now + timedelta(days=days), self.ends_at)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder(_name(name[:64]), self._certificate.subject, key.public_key(), now, ends_at)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(issuer, critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _issued(builder.sign(self._key, hashes.SHA256()), key)


def check_host(host: str) -> str | None:
    """Say why a server's certificate cannot name this, or None."""
    try:
        _host(host)
    except ValueError:
        return f"{host[:60]!r} is neither a host name nor an address"
    return None


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    # What looks like an address and is none must not become a name.
    if not _HOST.fullmatch(host) or not any(c.isalpha() for c in host):
        raise ValueError(host)
    return x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    now: datetime,
    ends_at: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _issued(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Issued:
    return Issued(
        cert=certificate.public_bytes(Encoding.PEM),
        key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        ends_at=certificate.not_valid_after_utc,
    )
