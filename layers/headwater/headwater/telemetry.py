"""Logs and metrics. Importing makes nothing; what is logged is chosen, never an event or an exception's text."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from headwater.errors import ProviderOutcomeUnknown

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

NAMESPACE = "Headwater"


@cache
def logger() -> "Logger":
    """The function's structured logger; its level is ``POWERTOOLS_LOG_LEVEL``."""
    from aws_lambda_powertools.logging import Logger

    return Logger(service=os.environ.get("AWS_LAMBDA_FUNCTION_NAME"))


def failure(message: str, error: BaseException) -> None:
    """Log an unforeseen error: what kind and where, not its text, which may hold a URL or a body with a key in it."""
    frames = traceback.extract_tb(error.__traceback__)
    logger().error(
        message,
        extra={
            "error": type(error).__qualname__,
            "at": [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno} {frame.name}" for frame in frames],
        },
    )


def count(metric: str, provider: str) -> None:
    """Count a fact, in CloudWatch's embedded format: one line on standard output, no call."""
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(name=metric, unit=MetricUnit.Count, value=1, namespace=NAMESPACE) as one:
        one.add_dimension("provider", provider)


@contextmanager
def counting_ambiguity(provider: str) -> Iterator[None]:
    """Count a create of which nobody can tell whether it was carried out, and let it pass."""
    try:
        yield
    except ProviderOutcomeUnknown:
        count("AmbiguousCreate", provider)
        raise
