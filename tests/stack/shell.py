"""An operator's tools, as a person runs them from a shell."""

import os
import subprocess
import sys

from local.cloud import CREDENTIALS, ROOT, STAGE, Cloud


def printed_by(cloud: Cloud, tool: str, *arguments: str) -> str:
    """What ``python -m <tool> <stack> <arguments>`` prints about this deployment.

    Raises ``AssertionError`` with all that it said where it fails, ``TimeoutExpired`` after two minutes.
    """
    environment = {
        **os.environ,
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": cloud.aws_endpoint_url,
        "AWS_DEFAULT_REGION": cloud.region,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", tool, f"headwater-{STAGE}", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603  # a command of ours
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
