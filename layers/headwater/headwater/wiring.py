"""The one place that reads the environment and joins the ports to AWS."""

import os

from headwater import aws
from headwater.ports import Parts
from headwater.provider import AnyProvider
from headwater.store import Table
from headwater.vault import KmsVault


def table() -> Table:
    """The table named by ``TABLE_NAME``."""
    return Table(aws.client("dynamodb"), os.environ["TABLE_NAME"])


def parts(provider: AnyProvider) -> Parts:
    """What a provider's function is made of, by the environment that the template gives it."""
    deployment = os.environ["DEPLOYMENT_ID"]
    vault = KmsVault(aws.client("kms"), os.environ["SEALING_KEY_ID"], deployment)
    margin = float(os.environ["CLAIM_MARGIN_SECONDS"])
    return Parts(provider, table(), vault, deployment, os.environ["ACCOUNT_ID"], claim_margin=margin)
