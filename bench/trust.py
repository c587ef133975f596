"""A function's folder as Lambda unpacks it, with this run's authority among those that its files trust.

A function verifies whom it talks to by certificates in its own packages and layers. Who vouches for the stand-ins is
made here, so it is added to them, and verification costs what it costs in Lambda.
"""

import os
import re
import shutil
from hashlib import sha1
from pathlib import Path

from cryptography import x509

BUNDLES = {".pem", ".crt"}
HASHED = re.compile(r"[0-9a-f]{8}\.\d+")
"""What OpenSSL looks for in a directory of certificates: the hash of the subject's name, and a number."""


def trusting(folders: list[Path], authority: Path, target: Path) -> Path:
    """The folders' content together in ``target``, by links; the authority is added to whatever holds certificates."""
    for folder in folders:
        shutil.copytree(folder, target, copy_function=_link, dirs_exist_ok=True)
    certificate = authority.read_bytes()
    for path in list(target.rglob("*")):
        if path.suffix in BUNDLES and path.is_file() and b"BEGIN CERTIFICATE" in (told := path.read_bytes()):
            path.unlink()  # a link: what it points to stays as it was built
            path.write_bytes(told + b"\n" + certificate)
        elif HASHED.fullmatch(path.name):
            (path.parent / f"{subject_hash(certificate)}.0").write_bytes(certificate)
    return target


def _link(source: str, target: str) -> None:
    """What a later layer has too is the later's, as in Lambda."""
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


def subject_hash(certificate: bytes) -> str:
    """As ``openssl x509 -subject_hash`` tells it, of a subject in lower case whose words one space parts."""
    name = x509.load_pem_x509_certificate(certificate).subject.public_bytes()
    canonical = name[2:]  # what is hashed has no outer header, which takes two bytes up to a length of 127
    return f"{int.from_bytes(sha1(canonical, usedforsecurity=False).digest()[:4], 'little'):08x}"
