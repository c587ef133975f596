"""AWS clients: one session, made at first use, each with deadlines."""

from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from boto3.session import Session

type Service = Literal["dynamodb", "events", "kms", "secretsmanager", "sqs"]


@cache
def session() -> "Session":
    """The process's one session: its loaders and credentials are shared by all clients."""
    import boto3

    return boto3.session.Session()


@cache
def client(service: Service) -> Any:
    """A client whose calls end: 1 s to connect and 2 s to answer, three attempts in botocore's standard mode."""
    from botocore.config import Config

    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})
    return session().client(service, config=config)
