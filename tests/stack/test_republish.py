"""An operator sends recorded events again: subscribers get the very ones that they had."""

from local.cloud import Cloud
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.shell import printed_by


def test_recorded_events_are_sent_again_as_they_were(cloud: Cloud, api: Api, subscriber: Subscriber) -> None:
    opened = api.create("kinesis-video", "republished")
    assert opened.status_code == 201, opened.text
    stream_id = opened.json()["id"]
    (first,) = subscriber.await_events(stream_id, "StreamCreated")
    assert "again" in printed_by(cloud, "tools.republish", opened.json()["created_at"])
    first_again = subscriber.await_events(stream_id, "StreamCreated", count=2)
    assert [event["detail"] for event in first_again] == [first["detail"]] * 2
