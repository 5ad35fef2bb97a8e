"""Certificates of every kind a person may name in the configuration, right ones and wrong ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.tls.authority import Authority, Issued

NOW = datetime.now(UTC)
HOSTS = ("localhost", "127.0.0.1")


class Folder:
    """A CA and what it signs, written as files."""

    def __init__(self, folder: Path, name: str = "tests") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.authority, itself = Authority.create(name, NOW)
        self.ca = self._write("ca.crt", itself.cert)
        self.ca_key = self._write("ca.key", itself.key)

    def server(
        self, name: str = "server", *, days: int = 30, now: datetime = NOW
    ) -> tuple[Path, Path]:
        return self._pair(name, self.authority.server(HOSTS, days, now))

    def client(self, name: str = "client") -> tuple[Path, Path]:
        return self._pair(name, self.authority.client(name, 30, NOW))

    def revoking(self, *certs: Path, name: str = "clients.crl", now: datetime = NOW) -> Path:
        """A list of this CA's that takes back these certificates."""
        ca = x509.load_pem_x509_certificate(self.ca.read_bytes())
        key = load_pem_private_key(self.ca_key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        made = x509.CertificateRevocationListBuilder(
            ca.subject, last_update=now, next_update=now + timedelta(days=30)
        ).add_extension(x509.CRLNumber(1), critical=False)
        for cert in certs:
            serial = x509.load_pem_x509_certificate(cert.read_bytes()).serial_number
            row = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=now)
            made = made.add_revoked_certificate(row.build())
        return self._write(name, made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def expired(self, name: str = "expired") -> tuple[Path, Path]:
        return self.server(name, days=5, now=NOW - timedelta(days=10))

    def not_yet(self, name: str = "later") -> tuple[Path, Path]:
        return self.server(name, now=NOW + timedelta(days=2))

    def _pair(self, name: str, issued: Issued) -> tuple[Path, Path]:
        return self._write(f"{name}.crt", issued.cert), self._write(f"{name}.key", issued.key)

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(data)
        return path


def encrypted_key(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    kind = BestAvailableEncryption(b"secret")
    return _key(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, kind))


def key_of(path: Path, kind: str) -> Path:
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    if kind == "rsa-1024":
        key = rsa.generate_private_key(65537, 1024)
    elif kind == "secp521r1":
        key = ec.generate_private_key(ec.SECP521R1())
    else:
        key = ec.generate_private_key(ec.SECP256K1())
    return _key(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _key(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path
