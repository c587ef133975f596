"""Fifty callers want the same stream at the same moment: it is made once, and everybody who gets one gets that one."""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import groupby

import pytest

from local.cloud import Cloud
from tests.stack.bus import Subscriber
from tests.stack.callers import Api
from tests.stack.crowd import Reply, all_at_once
from tests.stack.doors import Door
from tests.stack.environments import end_environments
from tests.stack.ways import EACH_WAY, WAYS, Way

CROWD = 50
MAKING_SECONDS = 3.0
"""Of a provider that takes its time: the others come while it does."""
LONGEST_WAIT = 29 + 5
"""Seconds: what is left of the claim of a worker that has just begun."""
MOMENTS = ("in new environments", "while it is being made", "while it is being recorded")
EACH_MOMENT = pytest.mark.parametrize("moment", MOMENTS)


@dataclass
class Crush:
    """Fifty identical creates at once, and what the provider was asked for meanwhile."""

    replies: list[Reply]
    creates: int

    def answered(self, *statuses: int) -> list[Reply]:
        return [reply for reply in self.replies if reply.status in statuses]

    def opened(self) -> set[tuple[str, str]]:
        """The ids and credentials that were handed out."""
        given = [reply.body for reply in self.answered(200, 201)]
        return {(body["id"], json.dumps(body["credentials"], sort_keys=True)) for body in given}


@dataclass(frozen=True)
class Crowd:
    """Fifty callers, each with an environment of its own once they have been here before."""

    api: Api
    door: Door
    way: Way

    def crush(self, key: str) -> Crush:
        before = len(self.door.creates())
        request = self.api.signed_create(self.way.provider, key, self.way.body())
        replies = all_at_once(self.api, [request] * CROWD)
        return Crush(replies, len(self.door.creates()) - before)

    def key(self, moment: str) -> str:
        return f"crowd {self.way.name} {moment}"

    def story(self) -> dict[str, Crush]:
        """By moment; ``again``: the key of one of them once more."""
        story = {}
        for moment in MOMENTS:
            if moment == "while it is being made":
                self.door.fault("slow", seconds=MAKING_SECONDS, containing=self.way.path)
            story[moment] = self.crush(self.key(moment))
        return story | {"again": self.crush(self.key(MOMENTS[1]))}


type Story = dict[str, dict[str, Crush]]


@pytest.fixture(scope="module")
def stories(cloud: Cloud, api: Api, doors: dict[str, Door]) -> Story:
    """By way. One provider after the other: fifty environments take four gigabytes."""
    told: Story = {}
    for provider, ways in groupby(WAYS, lambda way: way.provider):
        crowds = [Crowd(api, doors[provider], way) for way in ways]
        # Longer than this takes: a renewal brings a new token.
        settings = {"v02_lease_seconds": 300} if provider == "overshoot" else {}
        with doors[provider].set(**settings):
            told |= {crowd.way.name: crowd.story() for crowd in crowds}
        for crowd in crowds:
            for moment in MOMENTS:
                api.delete(api.href_of(provider, crowd.key(moment)))
        end_environments(cloud, provider)
    return told


@EACH_WAY
@EACH_MOMENT
def test_they_were_under_way_all_at_once(way: Way, moment: str, stories: Story) -> None:
    replies = stories[way.name][moment].replies
    assert len(replies) == CROWD
    assert max(reply.sent_at for reply in replies) < min(reply.answered_at for reply in replies)


@EACH_WAY
@EACH_MOMENT
def test_the_provider_is_asked_once(way: Way, moment: str, stories: Story) -> None:
    assert stories[way.name][moment].creates == 1


@EACH_WAY
@EACH_MOMENT
def test_whoever_gets_a_stream_gets_the_same_one(way: Way, moment: str, stories: Story, api: Api) -> None:
    crush = stories[way.name][moment]
    assert len(crush.answered(201)) == 1
    [(stream_id, _)] = crush.opened()
    assert stream_id == api.id_of(way.provider, f"crowd {way.name} {moment}")
    assert {reply.answer.headers.get("idempotency-replayed") for reply in crush.answered(200)} <= {"true"}


@EACH_WAY
@EACH_MOMENT
def test_everybody_else_is_told_to_come_again(way: Way, moment: str, stories: Story) -> None:
    crush = stories[way.name][moment]
    others = [reply for reply in crush.replies if reply.status not in {200, 201}]
    assert Counter((reply.status, reply.body["code"]) for reply in others).keys() <= {(409, "creation-in-progress")}
    for reply in others:
        assert reply.answer.headers["content-type"] == "application/problem+json"
        assert 1 <= int(reply.answer.headers["retry-after"]) <= LONGEST_WAIT
    assert others or moment != "while it is being made"


@EACH_WAY
def test_all_of_them_come_again_and_have_it(way: Way, stories: Story) -> None:
    first, again = stories[way.name][MOMENTS[1]], stories[way.name]["again"]
    assert (len(again.answered(200)), again.creates) == (CROWD, 0)
    assert {reply.answer.headers["idempotency-replayed"] for reply in again.replies} == {"true"}
    assert again.opened() == first.opened()


@EACH_WAY
@EACH_MOMENT
@pytest.mark.usefixtures("stories")
def test_it_is_told_once(way: Way, moment: str, api: Api, subscriber: Subscriber) -> None:
    stream_id = api.id_of(way.provider, f"crowd {way.name} {moment}")
    # What is told last has been told by now, and so has all before it.
    subscriber.await_events(stream_id, "StreamDeleted")
    assert len(subscriber.events(stream_id, "StreamCreated")) == 1


@pytest.mark.usefixtures("stories")
def test_no_circuit_has_opened(api: Api) -> None:
    assert {one["circuit"]["state"] for one in api.providers().json()["providers"]} == {"closed"}
