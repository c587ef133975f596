"""What opens a stream is kept sealed: by KMS, for that stream alone."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headwater.records import Record

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

PLAIN_BYTES = 1_000_000
"""Far above a request, which has 64,000, and any provider's credentials; what unsealing may come to at most."""
PART_BYTES = 4096
"""What KMS encrypts at once ("Encrypt" in the API reference: up to 4,096 bytes under a symmetric key)."""
_VERSION = 1


class SealBroken(Exception):
    """What is kept is no whole of sealed parts. Says nothing of what is in it."""


class KmsVault:
    """Seals by KMS alone: what is compressed is encrypted there, part by part, all bound to the stream's identity.

    One call for what is compressed to 4,096 bytes (credentials, tokens and most SDP), one more for each 4,096 more.
    Laid out as a byte of version, one of how many parts, and for each two bytes of length and what KMS answered. Each
    is bound to its place, and to the part before it: none can be exchanged, left out or put in unseen.
    """

    def __init__(self, client: "KMSClient", key_id: str, deployment: str) -> None:
        self._client = client
        self._key_id = key_id
        self._deployment = deployment

    def seal(self, record: Record, plain: bytes) -> bytes:
        """See ``ports.Vault``. Raises ``ValueError`` for more than ``PLAIN_BYTES``."""
        if len(plain) > PLAIN_BYTES:
            raise ValueError(f"no more than {PLAIN_BYTES} bytes can be sealed")
        packed = zlib.compress(plain)
        parts = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
        sealed: list[bytes] = []
        for part in parts:
            context = self._context(record, sealed, len(parts))
            answer = self._client.encrypt(KeyId=self._key_id, Plaintext=part, EncryptionContext=context)
            sealed.append(answer["CiphertextBlob"])
        return bytes([_VERSION, len(sealed)]) + b"".join(len(one).to_bytes(2, "big") + one for one in sealed)

    def unseal(self, record: Record, sealed: bytes) -> bytes:
        """See ``ports.Vault``. Raises ``SealBroken``, and KMS's error for what it did not encrypt so."""
        parts = _parts(sealed)
        packed = b""
        for number, part in enumerate(parts):
            context = self._context(record, parts[:number], len(parts))
            answer = self._client.decrypt(KeyId=self._key_id, CiphertextBlob=part, EncryptionContext=context)
            packed += answer["Plaintext"]
        return _unpacked(packed)

    def _context(self, record: Record, before: Sequence[bytes], count: int) -> Mapping[str, str]:
        """What KMS asks for again, of the part that comes after these. It stands in CloudTrail: nothing secret."""
        context = {"deployment": self._deployment, "tenant": record.tenant, "stream": record.stream.id}
        context["part"] = f"{len(before) + 1}/{count}"
        # Else those of two sealings of one stream, at the same place, could be exchanged.
        return context | ({"after": hashlib.sha256(before[-1]).hexdigest()} if before else {})


def _parts(sealed: bytes) -> list[bytes]:
    """What KMS answered, part by part."""
    if sealed[:1] != bytes([_VERSION]):
        raise SealBroken("sealed in a way that is not known")
    parts: list[bytes] = []
    rest = sealed[2:]
    while rest:
        end = 2 + int.from_bytes(rest[:2], "big")
        parts.append(rest[2:end])
        rest = rest[end:]
    if len(parts) != int.from_bytes(sealed[1:2]) or not all(parts):
        raise SealBroken("not as many parts as there were")
    return parts


def _unpacked(packed: bytes) -> bytes:
    """What was compressed, if it is whole and no longer than anything that is sealed."""
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(packed, PLAIN_BYTES + 1)
    except zlib.error:
        raise SealBroken("not compressed") from None
    if not unpacking.eof or unpacking.unused_data or len(plain) > PLAIN_BYTES:
        raise SealBroken("longer than anything that is sealed, or cut off")
    return plain
