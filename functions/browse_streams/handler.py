"""API call across providers → streams, newest first, or what each provider can do and whether it is there."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from headwater.cold_start import prepare
from browse_streams.circuits import with_circuits
from browse_streams.listing import Listing, query
from headwater import aws
from headwater.api import Api, reply
from headwater.catalogue import catalogue
from headwater.errors import ProviderUnknown
from headwater.routes import Answer


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """API Gateway proxy event → proxy answer."""
    return _api().answer(event, context)


@cache
def _api() -> Api:
    api, told = Api(), catalogue(Path(__file__).parent.parent)
    table = aws.client("dynamodb"), os.environ["TABLE_NAME"]

    def streams() -> Answer:
        return reply(200, vars(Listing(*table).page(query(api.caller.tenant, api.call.query, frozenset(told)))))

    def unknown() -> Answer:
        raise ProviderUnknown(f"The providers are {', '.join(sorted(told))}.")

    api.routes.add("GET", "/streams", streams)
    api.routes.add("GET", "/providers", lambda: reply(200, {"providers": with_circuits(told.values(), *table)}))
    api.routes.add("*", "/streams/<+>", unknown)
    return api


prepare(_api)
