"""AWS credentials that are fetched for the first call that is signed, not for the client that will make it.

With SnapStart they come from an endpoint beside the process, not from variables ("Activating and managing Lambda
SnapStart" in the Lambda developer guide). botocore fetches them when the first client is made: they would be in the
snapshot, and every environment would begin with them, expired or not.
"""

import os
from typing import Any

from botocore.credentials import (
    ContainerProvider,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.session import Session
from botocore.utils import ContainerMetadataFetcher

from headwater import snapshot


def fetch_late(session: Session) -> None:
    """Have the clients that ``session`` will make fetch their credentials late, if it is an endpoint that gives them.

    If it is not, nothing changes. To be called before the session makes its first client.
    """
    if ContainerProvider.ENV_VAR_FULL in os.environ:
        session.register_component("credential_provider", CredentialResolver([_Late()]))


class _Late(CredentialProvider):
    METHOD = ContainerProvider.METHOD

    def load(self) -> DeferredRefreshableCredentials:
        credentials = _Forgettable(_fetched, self.METHOD)
        snapshot.before(credentials.forget)
        return credentials


class _Forgettable(DeferredRefreshableCredentials):
    """Once they are forgotten, it is as if they had never been asked for."""

    def forget(self) -> None:
        for each in ("access_key", "secret_key", "token", "account_id", "_frozen_credentials"):
            setattr(self, each, None)


def _fetched() -> dict[str, Any]:
    """What the endpoint gives now, by botocore's own call: bounded, and to no other place than this machine.

    By a fetcher of its own each time, which is once an hour: so no connection is kept.
    """
    token = os.environ.get(ContainerProvider.ENV_VAR_AUTH_TOKEN)
    told = ContainerMetadataFetcher().retrieve_full_uri(
        os.environ[ContainerProvider.ENV_VAR_FULL], headers={"Authorization": token} if token else None
    )
    return {
        "access_key": told["AccessKeyId"],
        "secret_key": told["SecretAccessKey"],
        "token": told["Token"],
        "expiry_time": told["Expiration"],
        "account_id": told.get("AccountId"),
    }
