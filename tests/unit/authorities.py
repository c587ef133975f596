"""Authorities that sign certificates, and a server on this machine with one of theirs."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
CA, NO_CA = x509.BasicConstraints(ca=True, path_length=None), x509.BasicConstraints(ca=False, path_length=None)


def usage(constraints: x509.BasicConstraints) -> x509.KeyUsage:
    """What Python's strict verification asks of an authority's key, and of another's."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=constraints.ca,
        crl_sign=constraints.ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Signs for 127.0.0.1, for a day."""

    def __init__(self, name: x509.Name) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name
        self.certificate = self._signed(name, self._key.public_key(), CA)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def _signed(
        self, of: x509.Name, key: ec.EllipticCurvePublicKey, constraints: x509.BasicConstraints
    ) -> x509.Certificate:
        now, day = datetime.now(UTC), timedelta(days=1)
        here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder(issuer_name=self._name, subject_name=of, public_key=key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(constraints, critical=True)
            .add_extension(here, critical=False)
            .add_extension(usage(constraints), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @contextmanager
    def serving(self, folder: Path) -> Iterator[str]:
        """The address of a server that shows a certificate of this authority's; it answers ``{}``."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain = folder / "chain.pem"
        unsealed = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        shown = self._signed(common_name("127.0.0.1"), key.public_key(), NO_CA).public_bytes(PEM)
        chain.write_bytes(unsealed + shown)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.daemon_threads = True
            server.handle_error = lambda *_: None  # type: ignore[method-assign] # who only shakes hands goes at once
            server.block_on_close = False
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"https://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()


class Empty(BaseHTTPRequestHandler):
    """Answers ``{}``."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""
