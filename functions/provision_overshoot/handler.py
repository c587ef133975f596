"""API call, or queued bus event, for Overshoot → a stream, its record and its event."""

import os

from headwater.cold_start import prepare
from headwater.provider_function import ProviderFunction
from headwater.provider_secret import provider_secret
from provision_overshoot.provider import Overshoot
from provision_overshoot.wire import OvershootSecret


def overshoot() -> Overshoot:
    """The provider, by the function's environment."""
    base_urls = {"v1beta": os.environ["PROVIDER_BASE_URL"], "v0.2": os.environ["PROVIDER_V02_BASE_URL"]}
    leases = {
        "v1beta": int(os.environ["PROVIDER_LEASE_SECONDS"]),
        "v0.2": int(os.environ["PROVIDER_V02_LEASE_SECONDS"]),
    }
    return Overshoot(base_urls, provider_secret(OvershootSecret, os.environ["PROVIDER_SECRET_ARN"]), leases)


handler = ProviderFunction(overshoot)
prepare(handler.prepare)
