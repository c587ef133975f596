"""Looks for canaries: the mark that every secret of this suite bears, and what is left of one without its mark."""

import base64
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import quote

MARK = "canary-"
SECRET = re.compile(rf"{MARK}[0-9A-Za-z-]+")
RANDOM_PART = re.compile(rb"[0-9a-f]{16,}")
"""What the simulators' secrets end with."""


def secrets_in(text: str) -> set[str]:
    """The whole secrets."""
    return set(SECRET.findall(text))


def leaks(texts: Iterable[str | bytes], secrets: Iterable[str] = ()) -> list[str]:
    """What shows a secret, as it is or in disguise; and what shows the random part of one of ``secrets``."""
    tails = {secret.rpartition("-")[-1].encode() for secret in secrets}
    found = []
    for text in texts:
        raw = text.encode() if isinstance(text, str) else text
        found += [_around(raw, match.start()) for match in _marks().finditer(raw)]
        found += [_around(raw, match.start()) for match in RANDOM_PART.finditer(raw) if match.group() in tails]
    return found


def _around(raw: bytes, at: int) -> str:
    return raw[max(0, at - 80) : at + 80].decode(errors="replace")


@cache
def _marks() -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(form.encode()) for form in sorted(set(disguises(MARK)))), re.IGNORECASE)


def disguises(text: str) -> Iterator[str]:
    """As it is, percent-encoded with or without need, in hexadecimal, and inside base64 wherever it begins."""
    yield text
    yield quote(text, safe="")
    yield "".join(f"%{byte:02x}" for byte in text.encode())
    yield text.replace("-", "%2d")
    yield text.encode().hex()
    yield from (_inside_base64(text.encode(), offset) for offset in range(3))


def _inside_base64(text: bytes, offset: int) -> str:
    """The characters that stand for ``text`` alone, whatever comes before (``offset`` bytes modulo 3) and after it."""
    encoded = base64.b64encode(b"\0" * offset + text + b"\0" * (-(offset + len(text)) % 3)).decode()
    begin, end = -(-offset * 8 // 6), (offset + len(text)) * 8 // 6
    return encoded[begin:end]


def values_of(item: Any) -> Iterator[str | bytes]:
    """Every name and value in a DynamoDB item, or in JSON; bytes as they are."""
    if isinstance(item, dict):
        for name, value in item.items():
            yield str(name)
            yield from values_of(value)
    elif isinstance(item, list):
        for value in item:
            yield from values_of(value)
    else:
        yield item if isinstance(item, bytes) else str(item)
