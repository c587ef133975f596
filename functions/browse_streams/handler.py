"""API call across providers → streams, newest first, or what each provider can do and whether it is there."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from browse_streams.circuits import with_circuits
from browse_streams.listing import Listing, query
from headwater import aws
from headwater.api import Answer, Api, reply
from headwater.catalogue import catalogue
from headwater.errors import ProviderUnknown


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """API Gateway proxy event → proxy answer."""
    return _api().answer(event, context)


@cache
def _api() -> Api:
    api, told = Api(), catalogue(Path(__file__).parent.parent)

    def streams() -> Answer:
        asked = query(api.caller.tenant, api.event.query_string_parameters or {}, frozenset(told))
        page = Listing(aws.client("dynamodb"), os.environ["TABLE_NAME"]).page(asked)
        return reply(200, {"streams": page.streams, "cursor": page.cursor})

    def providers() -> Answer:
        return reply(200, {"providers": with_circuits(told.values(), aws.client("dynamodb"), os.environ["TABLE_NAME"])})

    def unknown() -> Answer:
        raise ProviderUnknown(f"The providers are {', '.join(sorted(told))}.")

    api.routes.get("/streams")(streams)
    api.routes.get("/providers")(providers)
    for method in (api.routes.get, api.routes.post, api.routes.put, api.routes.patch, api.routes.delete):
        method(r"/streams/.+")(unknown)
    return api
