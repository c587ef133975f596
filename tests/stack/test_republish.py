"""An operator sends recorded events again: subscribers get the very ones that they had."""

import os
import subprocess
import sys

from local.cloud import CREDENTIALS, ROOT, Cloud
from tests.stack.bus import Subscriber
from tests.stack.callers import Api


def test_recorded_events_are_sent_again_as_they_were(cloud: Cloud, api: Api, subscriber: Subscriber) -> None:
    opened = api.create("kinesis-video", "republished")
    assert opened.status_code == 201, opened.text
    stream_id = opened.json()["id"]
    (first,) = subscriber.await_events(stream_id, "StreamCreated")
    environment = {
        **os.environ,
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": cloud.aws_endpoint_url,
        "AWS_DEFAULT_REGION": cloud.region,
        "PYTHONPATH": str(ROOT),
    }
    since = opened.json()["created_at"]
    command = [sys.executable, "-m", "tools.republish", "headwater-local", since]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603  # a command of ours
    assert done.returncode == 0, done.stderr
    assert "again" in done.stdout
    first_again = subscriber.await_events(stream_id, "StreamCreated", count=2)
    assert [event["detail"] for event in first_again] == [first["detail"]] * 2
