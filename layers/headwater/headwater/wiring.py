"""The one place that reads the environment and joins the ports to AWS."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from headwater import aws, clock, telemetry
from headwater.breaker import behind_breaker
from headwater.events import AttentionData, StreamAttentionDue
from headwater.ports import Parts
from headwater.provider import AnyProvider
from headwater.store import DUE_SHARDS, Table
from headwater.vault import KmsVault

if TYPE_CHECKING:
    from headwater.orphan_search import OrphanSearch
    from headwater.orphans import Orphan


def table(due_shards: int = DUE_SHARDS) -> Table:
    """The table named by ``TABLE_NAME``; what it forgets it forgets by business time."""
    return Table(aws.client("dynamodb"), os.environ["TABLE_NAME"], clock.present, due_shards)


def parts(provider: AnyProvider) -> Parts:
    """What a provider's function is made of, by the environment that the template gives it."""
    deployment = os.environ["DEPLOYMENT_ID"]
    vault = KmsVault(aws.client("kms"), os.environ["SEALING_KEY_ID"], deployment)
    account = os.environ["ACCOUNT_ID"]
    called = behind_breaker(provider, aws.client("dynamodb"), os.environ["TABLE_NAME"])
    return Parts(
        called,
        table(int(os.environ["DUE_SHARDS"])),
        vault,
        deployment,
        account,
        moved=clock.moved,
        count=_counter(provider.name),
        call_for=_call_for,
        claim_margin=float(os.environ["CLAIM_MARGIN_SECONDS"]),
        landing=float(os.environ["LANDING_SECONDS"]),
        default_lifetime=int(os.environ["DEFAULT_LIFETIME_SECONDS"]) or None,
        lifetime_ceiling=int(os.environ["LIFETIME_CEILING_SECONDS"]) or None,
    )


def _call_for(data: AttentionData) -> None:
    from headwater.commands import send

    send([StreamAttentionDue(data=data)])


def _counter(provider: str) -> Callable[[str], None]:
    return lambda metric: telemetry.count(metric, provider)


def orphan_search(parts: Parts, told: "Callable[[Orphan], None] | None" = None) -> "OrphanSearch":
    """A search at the provider of ``parts``; ``REMOVE_ORPHANS`` says whether it may remove anything."""
    from headwater.orphan_search import OrphanSearch
    from headwater.sightings import TableSightings

    sightings = TableSightings(aws.client("dynamodb"), os.environ["TABLE_NAME"])
    return OrphanSearch(parts, sightings, os.environ["REMOVE_ORPHANS"] == "true", told or (lambda _: None))
