"""What AWS and the providers answer to a create, and what is remembered of it.

What is remembered shows that the job was done: the provider's resource, the record and the event.
"""

import base64
import json
import os
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bench.built import ACCOUNT, REGION

Json = dict[str, Any]
SECRETS = {
    "cloudflare": {"account_id": "bench-account", "api_token": "bench-token"},
    "overshoot": {"api_key": "ovs-bench"},
    "pyannote": {"api_key": "sk_bench"},
}
DATA_KEY = bytes(range(32))
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")


class Unexpected(Exception):
    """Something was asked for that no create needs."""


@dataclass
class Seen:
    """Where the stand-ins are, and what they saw since the last ``forget``."""

    url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    """Each AWS operation by its name, each provider's by method and path."""
    items: dict[tuple[str, str], Json] = field(default_factory=dict)
    """The table, by its keys' texts."""
    together: list[set[tuple[str, str]]] = field(default_factory=list)
    """The keys of what was written in one transaction."""
    events: list[Json] = field(default_factory=list)
    """What was put on the bus."""
    made: list[str] = field(default_factory=list)
    """What was made at providers."""
    handed: list[str] = field(default_factory=list)
    """The secrets that providers gave with what they made."""
    strange: list[str] = field(default_factory=list)
    """What no create needs."""

    def forget(self) -> None:
        """As if nothing had been asked."""
        seen = (self.calls, self.items, self.together, self.events, self.made, self.handed, self.strange)
        for each in seen:
            each.clear()

    @property
    def wire_calls(self) -> int:
        """Everything that was asked of anybody."""
        return sum(self.calls.values())

    @property
    def wire_units(self) -> int:
        """Provider calls and table writes; a transaction is one."""
        provider = sum(number for name, number in self.calls.items() if " " in name)
        return provider + sum(self.calls[name] for name in WRITES)


class Answers:
    """One question at a time is answered, as it is from one function."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._services: dict[str, Callable[[str, Json], Json]] = {
            "DynamoDB_20120810": self._table,
            "TrentService": self._kms,
            "secretsmanager": self._secrets,
            "AWSEvents": self._bus,
        }

    def to(self, method: str, path: str, target: str | None, body: bytes) -> tuple[int, Json]:
        """Status and body. What is asked for besides is remembered as strange, and refused."""
        with self._lock:
            try:
                asked: Json = json.loads(body or b"{}")
                if not target:
                    return self._provider(method, path.partition("?")[0], asked)
                service, _, operation = target.partition(".")
                self._seen.calls[operation] += 1
                return 200, self._services[service](operation, asked)
            except (Unexpected, KeyError, StopIteration) as error:
                self._seen.strange.append(f"{target or f'{method} {path}'}: {error!r}")
                return 400, {"message": "the benchmark knows no such thing"}

    def _table(self, operation: str, asked: Json) -> Json:
        items = self._seen.items
        match operation:
            case "GetItem":
                found = items.get(key_of(asked["Key"]))
                return {"Item": found} if found else {}
            case "Query":
                return {"Items": [], "Count": 0}
            case "PutItem" | "UpdateItem":
                self._write([asked])
            case "TransactWriteItems":
                puts = [each for one in asked["TransactItems"] for each in one.values()]
                self._seen.together.append(self._write(puts))
            case _:
                raise Unexpected(operation)
        return {}

    def _write(self, asked: list[Json]) -> set[tuple[str, str]]:
        """Put the items, or note what an update sets; their keys."""
        written = set()
        for each in asked:
            item = each.get("Item") or {**each["Key"], **each.get("ExpressionAttributeValues", {})}
            self._seen.items[key_of(item)] = item
            written.add(key_of(item))
        return written

    def _kms(self, operation: str, asked: Json) -> Json:
        wrapped = base64.b64encode(DATA_KEY).decode()
        match operation:
            case "Encrypt":
                plain = base64.b64decode(asked["Plaintext"])
                return {"CiphertextBlob": base64.b64encode(veiled(plain)).decode(), "KeyId": asked["KeyId"]}
            case "GenerateDataKey":
                return {"CiphertextBlob": wrapped, "Plaintext": wrapped, "KeyId": asked["KeyId"]}
        raise Unexpected(operation)

    def _secrets(self, _: str, asked: Json) -> Json:
        name = next(name for name in SECRETS if name in asked["SecretId"].lower())
        return {"ARN": asked["SecretId"], "Name": name, "SecretString": json.dumps(SECRETS[name])}

    def _bus(self, _: str, asked: Json) -> Json:
        self._seen.events += asked["Entries"]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": f"e-{next(self._numbers)}"} for _ in asked["Entries"]]}

    def _provider(self, method: str, path: str, asked: Json) -> tuple[int, Json]:
        number = next(self._numbers)
        self._seen.calls[f"{method} {path}"] += 1
        if method != "POST":
            raise Unexpected(path)
        make = next(make for pattern, make in MADE if re.fullmatch(pattern, path))
        made, handed, status, answer = make(number, asked)
        self._seen.made.append(made)
        self._seen.handed += handed
        return status, answer


def veiled(plain: bytes) -> bytes:
    """What stands for a cipher: nothing of the plain text is to be found in it."""
    return bytes(byte ^ 0x5A for byte in plain)


def key_of(item: Json) -> tuple[str, str]:
    """The texts of an item's keys; of the Powertools' table they are one."""
    texts = [str(next(iter(item[name].values()))) for name in ("pk", "sk", "id") if name in item]
    return texts[0], "".join(texts[1:])


# -- what providers make: its name, the secrets it has, the status and the body of the answer

type Made = tuple[str, list[str], int, Json]


def _live_input(_: int, asked: Json) -> Made:
    uid = os.urandom(16).hex()
    made = {
        "uid": uid,
        "created": "2026-11-20T08:15:02.318000Z",
        "modified": "2026-11-20T08:15:02.318000Z",
        "meta": asked.get("meta", {}),
        "enabled": True,
        "status": None,
        "recording": {"mode": "automatic", "requireSignedURLs": False, "allowedOrigins": None},
        "rtmps": {"url": "rtmps://live.example.net:443/live/", "streamKey": f"key-{uid}"},
        "rtmpsPlayback": {"url": "rtmps://live.example.net:443/live/", "streamKey": f"play-{uid}"},
        "srt": {"url": "srt://live.example.net:778", "streamId": uid, "passphrase": f"pass-{uid}"},
        "srtPlayback": {"url": "srt://live.example.net:778", "streamId": f"play{uid}", "passphrase": f"ppass-{uid}"},
        "webRTC": {"url": f"https://customer.example.net/{uid}/webRTC/publish"},
        "webRTCPlayback": {"url": f"https://customer.example.net/{uid}/webRTC/play"},
    }
    return uid, [f"key-{uid}"], 200, {"success": True, "errors": [], "messages": [], "result": made}


def _pyannote(number: int, _: Json) -> Made:
    made, token = f"live-{number}", f"token-{number}-{os.urandom(16).hex()}"
    return made, [token], 200, {"id": made, "url": f"wss://live.example.net/?token={token}"}


def _kinesis_video(_: int, asked: Json) -> Made:
    made = f"arn:aws:kinesisvideo:{REGION}:{ACCOUNT}:stream/{asked['StreamName']}/1795162511274"
    return made, [], 200, {"StreamARN": made}


def _v1beta(number: int, _: Json) -> Made:
    made, token = f"stream-{number}", f"token-{number}-{os.urandom(16).hex()}"
    answer = {
        "id": made,
        "state": "active",
        "source": {"type": "livekit"},
        "publish": {"type": "livekit", "url": "wss://room.example.net", "token": token},
        "expires_at_ms": 1795162811274,
        "ttl_seconds": 300,
    }
    return made, [token], 201, answer


def _v02(number: int, _: Json) -> Made:
    made, token = f"stream-{number}", f"token-{number}-{os.urandom(16).hex()}"
    room = {"url": "wss://room.example.net", "token": token}
    return made, [token], 201, {"stream_id": made, "lease": {"ttl_seconds": 45}, "livekit": room}


MADE: list[tuple[str, Callable[[int, Json], Made]]] = [
    (r"/client/v4/accounts/bench-account/stream/live_inputs", _live_input),
    (r"/v1/live", _pyannote),
    (r"/createStream", _kinesis_video),
    (r"/v1beta/streams", _v1beta),
    (r"/v0\.2/streams", _v02),
]
