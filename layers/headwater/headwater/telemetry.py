"""Logs and metrics. Importing makes nothing; what is logged is chosen, never an event or an exception's text."""

import json
import os
import sys
import time
import traceback
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

NAMESPACE = "Headwater"


@cache
def logger() -> "Logger":
    """The function's structured logger; its level is ``POWERTOOLS_LOG_LEVEL``."""
    from aws_lambda_powertools.logging import Logger

    return Logger(service=os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))


def exception(message: str, *, error: BaseException, **told: str) -> None:
    """Log an unforeseen error: what kind and where, not its text, which may hold a URL or a body with a key in it.

    ``told`` is what its place in the code does not say, such as of which stream it is.
    """
    frames = traceback.extract_tb(error.__traceback__)
    logger().error(
        message,
        extra={
            **told,
            "error": type(error).__qualname__,
            "at": [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
        },
    )


def count(metric: str, provider: str, facts: int = 1) -> None:
    """Count a fact, or several, in CloudWatch's embedded format: one line on standard output, no call."""
    _metric(metric, facts, "provider", provider)


def gauge(metric: str, value: int) -> None:
    """Tell how many there are of something, as this function found it, in the same way."""
    _metric(metric, value, "function", os.environ["AWS_LAMBDA_FUNCTION_NAME"])


def _metric(metric: str, value: int, dimension: str, of: str) -> None:
    """As "Specification: CloudWatch embedded metric format" has it; Powertools' costs a start more than its calls."""
    described = {"Namespace": NAMESPACE, "Dimensions": [[dimension]], "Metrics": [{"Name": metric, "Unit": "Count"}]}
    told = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [described]}
    sys.stdout.write(json.dumps({"_aws": told, dimension: of, metric: [value]}, separators=(",", ":")) + "\n")
