"""AWS clients: one session, made at first use, each with deadlines."""

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headwater import snapshot

if TYPE_CHECKING:
    from botocore.session import Session

type Service = Literal["dynamodb", "events", "kms", "secretsmanager", "sqs"]

USER_AGENT = "headwater"
"""botocore's own is put together anew for each call."""
ROOTS = Path(__file__).parents[1] / "roots"
"""What the build of the layers made of certifi's certificates; elsewhere there is none, and certifi's are read."""


@cache
def session() -> "Session":
    """The process's one session: its loaders and credentials are shared by all clients."""
    from botocore.session import Session

    made = Session()
    if snapshot.is_taken():
        from headwater.late_credentials import fetch_late

        fetch_late(made)
    return made


@cache
def client(service: Service) -> Any:
    """A client whose calls end: 1 s to connect and 2 s to answer, three attempts in botocore's standard mode."""
    from botocore.config import Config

    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent=USER_AGENT,
        parameter_validation=False,  # our calls are typed, and the service checks them again
    )
    made = session().create_client(service, config=config, verify=trusted())
    snapshot.before(made.close)
    return made


def trusted() -> str | None:
    """The certificates that AWS's endpoints are verified against; None for botocore's own choice.

    Amazon's published roots, five certificates instead of the hundred and forty of certifi, which each client reads
    anew. They are what AWS says to trust in its commercial regions ("Amazon Trust Services repository"); elsewhere, and
    where ``AWS_CA_BUNDLE`` names a file, botocore chooses.
    """
    elsewhere = os.environ.get("AWS_REGION", "").startswith(("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-"))
    file = ROOTS / "amazon.pem"
    return None if elsewhere or "AWS_CA_BUNDLE" in os.environ or not file.exists() else str(file)
