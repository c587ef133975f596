"""What Kinesis Video refuses with, beyond what moto knows; the HTTP codes are in botocore's model."""

from moto.kinesisvideo.exceptions import KinesisvideoClientError


class InvalidArgumentException(KinesisvideoClientError):
    code = "InvalidArgumentException"
    message = "The value for this input parameter is invalid."


class VersionMismatchException(KinesisvideoClientError):
    code = "VersionMismatchException"
    message = "The stream version that you specified is not the latest version."


class ClientLimitExceededException(KinesisvideoClientError):
    code = "ClientLimitExceededException"
    message = "You have exceeded the limit of allowed client calls. Try making the call later."


class AccountStreamLimitExceededException(KinesisvideoClientError):
    code = "AccountStreamLimitExceededException"
    message = "The number of streams created for the account is too high."


class TagsPerResourceExceededLimitException(KinesisvideoClientError):
    code = "TagsPerResourceExceededLimitException"
    message = "You have exceeded the limit of tags that you can associate with the resource."
