"""API call, or queued bus event, for Kinesis Video → a stream, its record and its event."""

import os

from headwater.cold_start import prepare
from headwater.provider_function import ProviderFunction
from provision_kinesis_video.calls import kinesis_video_client
from provision_kinesis_video.provider import KinesisVideo


def kinesis_video() -> KinesisVideo:
    """The provider, by the function's environment; it authenticates with the function's own role."""
    return KinesisVideo(kinesis_video_client(os.environ["PROVIDER_BASE_URL"]))


handler = ProviderFunction(kinesis_video)
prepare(handler.prepare)
