"""Certificate authorities of the tests' own."""

import datetime
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, PEM files; `bundle` holds both."""

    cert: Path
    key: Path
    bundle: Path


class Authority:
    """Issues certificates into `folder`, valid for a day."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"{folder.name} authority")
        made = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.cert = folder / "ca.crt"
        self.cert.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> Certificate:
        """A certificate of the common name `name`, good for that name, `localhost` and loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [
            x509.DNSName("localhost"),
            x509.DNSName(name),
            x509.IPAddress(ip_address("127.0.0.1")),
        ]
        made = self._builder(_named(name), key.public_key()).add_extension(
            x509.SubjectAlternativeName(alternatives), critical=False
        )
        cert, private = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        bundle = self._folder / f"{name}.pem"
        cert_pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        cert.write_bytes(cert_pem)
        private.write_bytes(key_pem)
        bundle.write_bytes(key_pem + cert_pem)
        return Certificate(cert, private, bundle)

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
