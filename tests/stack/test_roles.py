"""What a function's role may not do. What it must do it may: every other test shows that, since roles are enforced."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.cloud import STAGE, Cloud
from local.simulators.secrets import SECRETS
from tests.stack.environments import provisioning
from tests.stack.ways import PROVIDERS

Json = dict[str, Any]

PROVISIONING = [provisioning(provider) for provider in PROVIDERS]
OTHERS = ["BrowseStreams", "PublishEvents", "RenewLeases", "Sweep", "AuthorizeCaller"]
SPEAKERS = {*PROVISIONING, "PublishEvents", "RenewLeases", "Sweep"}


@dataclass(frozen=True)
class Role:
    """Clients with a function's own rights."""

    cloud: Cloud
    keys: dict[str, str]

    def client(self, service: str) -> Any:
        return self.cloud.client(service, **self.keys)

    def may(self, call: Callable[[], Any]) -> bool:
        """Whether it is let through; what then comes of it is not looked at."""
        try:
            call()
        except ClientError as error:
            return "AccessDenied" not in error.response["Error"]["Code"]
        return True


type Roles = dict[str, Role]


@pytest.fixture(scope="module")
def roles(cloud: Cloud) -> Roles:
    """By function. Lambda alone may assume them; for a moment, so may this test: what they may do stays as it is."""
    functions = cloud.client("lambda").list_functions()["Functions"]
    arns = {
        name: one["Role"] for name in PROVISIONING + OTHERS for one in functions if f"{name}F" in one["FunctionName"]
    }
    assert len(arns) == len(functions)
    return {name: Role(cloud, _session(cloud, arn)) for name, arn in arns.items()}


def _session(cloud: Cloud, arn: str) -> dict[str, str]:
    iam, name = cloud.client("iam"), arn.rpartition("/")[-1]
    trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    ours = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{cloud.account}:root"}, "Action": "sts:AssumeRole"}
    both = {**trust, "Statement": [*trust["Statement"], ours]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(both))
    try:
        keys = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="roles")["Credentials"]
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    return {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["SessionToken"],
    }


@pytest.mark.parametrize("name", PROVISIONING + OTHERS)
def test_a_function_reads_its_own_provider_s_secret_and_no_other(name: str, roles: Roles) -> None:
    secrets = roles[name].client("secretsmanager")

    def may_read(provider: str) -> bool:
        return roles[name].may(lambda: secrets.get_secret_value(SecretId=f"headwater/{STAGE}/{provider}"))

    readable = {provider for provider in SECRETS if may_read(provider)}
    assert readable == {provider for provider in SECRETS if provisioning(provider) == name}


@pytest.mark.parametrize("name", PROVISIONING + OTHERS)
def test_only_who_speaks_for_headwater_may_put_events(name: str, roles: Roles, cloud: Cloud) -> None:
    events = roles[name].client("events")
    # Of a type that no rule matches, and without a stream.
    entry = {"Source": "nobody", "DetailType": "Nothing", "Detail": "{}", "EventBusName": cloud.bus}
    assert roles[name].may(lambda: events.put_events(Entries=[entry])) == (name in SPEAKERS)


@pytest.mark.parametrize("name", PROVISIONING + OTHERS)
def test_nobody_scans_the_table(name: str, roles: Roles, cloud: Cloud) -> None:
    dynamodb = roles[name].client("dynamodb")
    assert not roles[name].may(lambda: dynamodb.scan(TableName=cloud.table))


@pytest.mark.parametrize("name", OTHERS)
def test_who_makes_no_streams_writes_no_record(name: str, roles: Roles, cloud: Cloud) -> None:
    dynamodb, item = roles[name].client("dynamodb"), {"pk": {"S": "STREAM#none"}, "sk": {"S": "STREAM"}}
    assert not roles[name].may(lambda: dynamodb.put_item(TableName=cloud.table, Item=item))
    assert not roles[name].may(lambda: dynamodb.delete_item(TableName=cloud.table, Key=item))


@pytest.mark.parametrize("name", ["BrowseStreams", "PublishEvents", "Sweep", "AuthorizeCaller"])
def test_who_lists_or_publishes_cannot_read_a_stream_s_items(name: str, roles: Roles, cloud: Cloud) -> None:
    dynamodb, key = roles[name].client("dynamodb"), {"pk": {"S": "STREAM#none"}, "sk": {"S": "STREAM"}}
    assert not roles[name].may(lambda: dynamodb.get_item(TableName=cloud.table, Key=key))
    query = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": key["pk"]}}
    assert not roles[name].may(lambda: dynamodb.query(TableName=cloud.table, **query))


@pytest.mark.parametrize("name", OTHERS)
def test_who_makes_no_streams_cannot_unseal(name: str, roles: Roles, cloud: Cloud) -> None:
    [key] = cloud.client("kms").list_keys()["Keys"]
    named = {"KeyId": key["KeyId"]}
    sealed = cloud.client("kms").encrypt(**named, Plaintext=b"any")["CiphertextBlob"]
    kms = roles[name].client("kms")
    assert not roles[name].may(lambda: kms.encrypt(**named, Plaintext=b"any"))
    assert not roles[name].may(lambda: kms.generate_data_key(**named, KeySpec="AES_256"))
    assert not roles[name].may(lambda: kms.decrypt(**named, CiphertextBlob=sealed))


@pytest.mark.parametrize("name", PROVISIONING + OTHERS)
def test_nobody_calls_the_api_or_makes_identities(name: str, roles: Roles, cloud: Cloud) -> None:
    assert not roles[name].may(lambda: roles[name].client("iam").list_users())
    assert not roles[name].may(lambda: roles[name].client("lambda").list_functions())
