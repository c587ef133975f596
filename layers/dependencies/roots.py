"""certifi's certificates laid out for whoever verifies one server: the roots of AWS, and a directory by their names."""

import hashlib
import re
import ssl
from collections import Counter
from pathlib import Path

AMAZON = re.compile(r"CN=(Amazon Root CA [1-4]|Starfield Services Root Certificate Authority - G2) ")
"""What AWS's commercial endpoints are signed by, as the "Amazon Trust Services repository" tells."""
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n", re.DOTALL)
UTF8_STRING, SEQUENCE, SET = 0x0C, 0x30, 0x31
TEXTS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}
"""ASN.1's string types and how they are encoded."""


def lay_out(bundle: Path, folder: Path) -> None:
    """Write ``amazon.pem``, and into ``hashed`` each certificate under the name that OpenSSL looks for it by."""
    hashed = folder / "hashed"
    hashed.mkdir(parents=True)
    text = bundle.read_text()
    amazon = [match[0] for match in re.finditer(r"# Issuer.+?-----END CERTIFICATE-----\n", text, re.DOTALL)]
    amazon = [part for part in amazon if AMAZON.search(part.partition("# Subject: ")[2].partition("\n")[0] + " ")]
    if len(amazon) != 5:
        raise ValueError(f"Amazon has five roots, not {len(amazon)}")
    (folder / "amazon.pem").write_text("".join(CERTIFICATE.search(part)[0] for part in amazon))
    add(hashed, CERTIFICATE.findall(text))


def add(hashed: Path, certificates: list[str]) -> None:
    """Add PEM certificates to such a directory, as ``openssl rehash`` would."""
    taken = Counter(file.stem for file in hashed.iterdir())
    for pem in certificates:
        name = subject_hash(ssl.PEM_cert_to_DER_cert(pem))
        (hashed / f"{name}.{taken[name]}").write_text(pem)
        taken[name] += 1


def subject_hash(der: bytes) -> str:
    """As ``openssl x509 -subject_hash``: of the name as X509_NAME_hash compares it, blanks and capitals aside."""
    certificate = _content(der)
    fields = _parts(_content(_parts(certificate)[0]))
    subject = fields[5 if fields[0][0] == 0xA0 else 4]  # after version, if told: serial, algorithm, issuer, validity
    canonical = b"".join(
        _wrapped(SET, b"".join(_canonical(each) for each in _parts(_content(one)))) for one in _parts(_content(subject))
    )
    return hashlib.sha1(canonical, usedforsecurity=False).digest()[3::-1].hex()


def _canonical(attribute: bytes) -> bytes:
    kind, value = _parts(_content(attribute))
    if encoding := TEXTS.get(value[0]):
        text = " ".join(re.split(r"[ \t\n\v\f\r]+", _content(value).decode(encoding).strip(" \t\n\v\f\r")))
        lower = "".join(letter.lower() if letter.isascii() else letter for letter in text)
        value = _wrapped(UTF8_STRING, lower.encode())
    return _wrapped(SEQUENCE, kind + value)


def _parts(content: bytes) -> list[bytes]:
    """The values, each with its tag and length, of which a value of DER is made."""
    parts = []
    while content:
        start, length = _measured(content)
        parts.append(content[: start + length])
        content = content[start + length :]
    return parts


def _content(value: bytes) -> bytes:
    start, length = _measured(value)
    return value[start : start + length]


def _measured(value: bytes) -> tuple[int, int]:
    """Where the content begins, and how long it is."""
    if value[1] < 0x80:
        return 2, value[1]
    octets = value[1] & 0x7F
    return 2 + octets, int.from_bytes(value[2 : 2 + octets])


def _wrapped(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
