"""API call, or queued bus event, for Cloudflare → a live input, its record and its event."""

import os

from headwater.cold_start import prepare
from headwater.provider_function import ProviderFunction
from headwater.provider_secret import provider_secret
from provision_cloudflare.provider import Cloudflare
from provision_cloudflare.wire import CloudflareSecret


def cloudflare() -> Cloudflare:
    """The provider, by the function's environment."""
    secret = provider_secret(CloudflareSecret, os.environ["PROVIDER_SECRET_ARN"])
    return Cloudflare(os.environ["PROVIDER_BASE_URL"], secret)


handler = ProviderFunction(cloudflare)
prepare(handler.prepare)
