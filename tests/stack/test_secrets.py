"""A provider's secret that is missing or malformed: named to the operator, with its fields, and never a value of it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.cloud import STAGE, Cloud
from local.simulators.secrets import SECRETS, canary
from tests.stack.callers import Api
from tests.stack.doors import Door
from tests.stack.environments import end_environments

Json = dict[str, Any]

SPOILT = {
    "cloudflare": {"account_id": "sim-account", "api_token": 7, "token": canary("spoilt", "token")},
    "overshoot": {"api_key": "", "key": canary("spoilt", "key")},
    "pyannote": {"apikey": canary("spoilt", "apikey")},
}
NO_JSON = canary("spoilt", "no-json")


class Keeper:
    """The operator: keeps a provider's secret. What is kept anew is read by a new environment."""

    def __init__(self, cloud: Cloud, provider: str) -> None:
        self.provider = provider
        self.secret_id = f"headwater/{STAGE}/{provider}"
        self._secrets = cloud.client("secretsmanager")
        self._cloud = cloud

    def put(self, value: str) -> None:
        self._secrets.put_secret_value(SecretId=self.secret_id, SecretString=value)
        end_environments(self._cloud, self.provider)

    def remove(self) -> None:
        self._secrets.delete_secret(SecretId=self.secret_id)
        end_environments(self._cloud, self.provider)

    def restore(self) -> None:
        """As it was, whatever was done to it."""
        if "DeletedDate" in self._secrets.describe_secret(SecretId=self.secret_id):
            self._secrets.restore_secret(SecretId=self.secret_id)
        self.put(json.dumps(SECRETS[self.provider]))


@dataclass
class Story:
    """What the same call was answered while the secret was malformed, no JSON, absent, and itself again."""

    malformed: httpx.Response
    no_json: httpx.Response
    missing: httpx.Response
    record: Json
    creates: int
    """How often the provider was asked to make something until then."""
    restored: httpx.Response


def told(keeper: Keeper, api: Api, door: Door) -> Story:
    provider, key = keeper.provider, f"secret-{keeper.provider}"
    before = len(door.creates())
    try:
        keeper.put(json.dumps(SPOILT[provider]))
        malformed = api.create(provider, key)
        keeper.put(NO_JSON)
        no_json = api.create(provider, key)
        keeper.remove()
        missing = api.create(provider, key)
        record = api.read(api.href_of(provider, key)).json()
        creates = len(door.creates()) - before
    finally:
        keeper.restore()
    return Story(malformed, no_json, missing, record, creates, api.create(provider, key))


@pytest.fixture(scope="module")
def stories(cloud: Cloud, api: Api, doors: dict[str, Door]) -> Iterator[dict[str, Story]]:
    """Of each provider that has a secret, side by side: a new environment takes its time."""
    keepers = [Keeper(cloud, provider) for provider in SECRETS]
    with ThreadPoolExecutor(len(keepers)) as pool:
        found = pool.map(lambda keeper: told(keeper, api, doors[keeper.provider]), keepers)
        stories = dict(zip(SECRETS, found, strict=True))
    yield stories
    for story in stories.values():
        if story.restored.is_success:
            assert api.delete(story.restored.json()["href"]).is_success


@pytest.fixture(params=SECRETS)
def story(request: pytest.FixtureRequest, stories: dict[str, Story]) -> Story:
    return stories[request.param]


@pytest.mark.parametrize("when", ["malformed", "no_json", "missing"])
def test_the_problem_names_the_secret_and_tells_nothing_of_its_value(when: str, story: Story) -> None:
    answer: httpx.Response = getattr(story, when)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (500, "provider-secret-invalid"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"headwater/{STAGE}/" in problem["detail"]
    assert "canary-" not in answer.text


def test_the_problem_names_the_fields_that_are_wrong(story: Story) -> None:
    named = {fault["pointer"].rpartition("/")[-1] for fault in story.malformed.json()["errors"]}
    assert named & {"api_token", "api_key"}


def test_nobody_is_called_meanwhile_and_the_claim_is_let_go(story: Story) -> None:
    assert story.creates == 0
    assert (story.record["state"], story.record["version"]) == ("provisioning", 0)


def test_the_same_key_opens_the_stream_once_the_secret_is_there(story: Story) -> None:
    assert story.restored.status_code == 201, story.restored.text
