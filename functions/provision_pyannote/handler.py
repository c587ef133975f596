"""API call, or queued bus event, for pyannoteAI → a live stream, its record and its event."""

import os

from headwater.cold_start import prepare
from headwater.provider_function import ProviderFunction
from headwater.provider_secret import provider_secret
from provision_pyannote.provider import Pyannote
from provision_pyannote.wire import PyannoteSecret


def pyannote() -> Pyannote:
    """The provider, by the function's environment."""
    secret = provider_secret(PyannoteSecret, os.environ["PROVIDER_SECRET_ARN"])
    return Pyannote(os.environ["PROVIDER_BASE_URL"], secret)


handler = ProviderFunction(pyannote)
prepare(handler.prepare)
