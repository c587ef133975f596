"""An authority of this run's own, beside those that everybody trusts: verification costs what it costs in Lambda."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAY_SIGN = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Certificates:
    """Files of one run."""

    authority: Path
    """The authority's certificate alone."""
    bundle: Path
    """It, after all that certifi has: what every client reads that is told of no other."""
    server_chain: Path
    server_key: Path


def make(folder: Path) -> Certificates:
    """The certificates, in ``folder``, good for a day."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])

    def signed(of: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder().issuer_name(name).subject_name(of).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day)
        builder = builder.not_valid_after(now + day)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=not isinstance(extension, x509.SubjectAlternativeName))
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        return builder.add_extension(identifier, critical=False).sign(authority_key, hashes.SHA256())

    constraints = x509.BasicConstraints(ca=True, path_length=None)
    authority = signed(name, authority_key.public_key(), constraints, MAY_SIGN)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    server = signed(subject, server_key.public_key(), addresses)
    pem = serialization.Encoding.PEM
    files = Certificates(folder / "authority.pem", folder / "bundle.pem", folder / "server.pem", folder / "server.key")
    files.authority.write_bytes(authority.public_bytes(pem))
    files.bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.public_bytes(pem))
    files.server_chain.write_bytes(server.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8
    files.server_key.write_bytes(server_key.private_bytes(pem, private, serialization.NoEncryption()))
    return files
