"""What is measured: our functions as ``sam build`` made them, and the peers, each with what it is made of."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.built import ACCOUNT, REGION, Built, moved, provider_of
from bench.packages import BUILT, PEERS, PLAIN
from local.cloud import BUILD, ROOT

Json = dict[str, Any]
REFERENCE = "boto_min"
"""The peer that everything is compared with."""
IDLE = "bare"
"""The peer that does nothing."""
BEFORE = " (before)"
UNCOMPILED = " (no bytecode)"

VARIANTS: dict[str, dict[str, Json]] = {
    "overshoot": {
        "v0.2": {
            "api_version": "v0.2",
            "processing": {"interval_seconds": 1.0},
            "inference": {"prompt": "What is to be seen?", "model": "bench-model"},
        }
    }
}
"""Options that lead a provider's function another way, which is then measured besides."""


@dataclass(frozen=True)
class Subject:
    """One function. ``code`` is what Lambda unpacks as the task, ``layers`` what it unpacks below /opt."""

    name: str
    provider: str
    handler: str
    code: Path
    layers: tuple[Path, ...] = ()
    variables: dict[str, str] = field(default_factory=dict, hash=False)
    options: Json = field(default_factory=dict, hash=False)
    ours: bool = False

    @property
    def idle(self) -> bool:
        """Whether it does nothing, so that nothing is to be seen of its creates."""
        return self.name == IDLE

    @property
    def by_http(self) -> bool:
        """Whether its provider is called with a secret of ours, by plain HTTP; AWS's own are called by botocore."""
        return "PROVIDER_SECRET_ARN" in self.variables

    def environment(self, url: str, task: Path, opt: Path) -> dict[str, str]:
        """Its variables and Lambda's that tell where it is, once it is unpacked in ``task`` and ``opt``."""
        return {
            **moved(self.variables, url, opt),
            "PYTHONPATH": os.pathsep.join([str(task), str(opt / "python")]),
            "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": self.handler,
        }


def ours(build: Path = BUILD, root: Path = ROOT, mark: str = "") -> list[Subject]:
    """Every function that opens streams, found in what was built; ``root`` has the sources, ``mark`` ends the names."""
    found = []
    for function in Built(build).functions():
        if provider := provider_of(root, function.folder):
            one = Subject(
                function.folder + mark,
                provider,
                function.handler,
                function.code,
                function.layers,
                function.variables,
                ours=True,
            )
            found.append(one)
            for variant, options in VARIANTS.get(provider, {}).items():
                found.append(_variant(one, f"{function.folder}-{variant}{mark}", options))
    return found


def _variant(one: Subject, name: str, options: Json) -> Subject:
    made = (one.provider, one.handler, one.code, one.layers, one.variables)
    return Subject(name, *made, options=options, ours=True)


def peers(laid_out: Path) -> list[Subject]:
    """The functions to compare with, below ``laid_out``, with bytecode; the reference once more without."""
    made = [_peer(name, name, laid_out / BUILT) for name in PEERS]
    return [*made, _peer(REFERENCE, REFERENCE + UNCOMPILED, laid_out / PLAIN)]


def _peer(kind: str, name: str, folder: Path) -> Subject:
    """All open a Cloudflare live input."""
    variables = {
        "BUS_NAME": "bench-Bus",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        "PROVIDER_BASE_URL": "https://api.cloudflare.com/client/v4",
        "PROVIDER_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:cloudflare-abcdef",
        "TABLE_NAME": "bench-Table",
    }
    return Subject(name, "cloudflare", f"peers.{kind}.handler", folder / kind, variables=variables)


def event(subject: Subject, key: str) -> Json:
    """The API call that creates a stream."""
    path = f"/streams/{subject.provider}"
    headers = {"Idempotency-Key": key, "Content-Type": "application/json", "Host": "api.example.net"}
    options = {"options": subject.options} if subject.options else {}
    body = {"name": "lobby camera", "metadata": {"customer": "42"}, **options}
    return {
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "bench",
            "authorizer": None,
            "domainName": "api.example.net",
            "httpMethod": "POST",
            "identity": {"accountId": ACCOUNT, "sourceIp": "192.0.2.10", "userArn": f"arn:aws:iam::{ACCOUNT}:user/a"},
            "path": f"/v1{path}",
            "protocol": "HTTP/1.1",
            "requestId": f"request-{key}",
            "resourcePath": path,
            "stage": "v1",
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }
