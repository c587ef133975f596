"""The routes that few calls take, called as API Gateway calls them."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from headwater.errors import Fault, ProviderRejected, ProviderUnavailable
from headwater.streams import State
from tests.unit.fakes import CANARY, CLAIM_SECONDS, FakeProvider, Killed, Plain, notification
from tests.unit.test_api import ROOT, Answered, Service, call
from tests.unit.test_queue import Context

OUTPUT = {"url": "rtmp://live.example/app", "stream_key": f"{CANARY}key"}


class Open(Service):
    """The function of a provider, and one stream."""

    def __init__(self, provider: FakeProvider | None = None, **body: Any) -> None:
        super().__init__(provider)
        answer = self.create({"name": "lobby", "options": {"quality": 0.5}} | body)
        assert answer.status == 201
        self.provider.calls.clear()

    def patch(self, body: Any, if_match: str | None = None, **rest: Any) -> Answered:
        headers = {"If-Match": if_match} if if_match is not None else {}
        text = body if isinstance(body, str) else json.dumps(body)
        return self.one("PATCH", body=text, headers=headers, **rest)

    def post(self, suffix: str, body: Any = None, **rest: Any) -> Answered:
        return self.one("POST", suffix, body=None if body is None else json.dumps(body), **rest)

    def notify(self, headers: dict[str, str], body: str) -> Answered:
        return self.call("POST", "/notifications/fake", body=body, headers=headers)


# ---- PATCH


def test_a_patch_answers_the_stream_as_it_is_since() -> None:
    service = Open()
    answer = service.patch({"name": "hall", "metadata": {"a": "b"}, "options": {"quality": 0.7}})
    assert (answer.status, answer.headers["etag"]) == (200, '"2"')
    assert (answer.body["name"], answer.body["version"], answer.body["options"]) == ("hall", 2, {"quality": 0.7})
    assert service.one().body == answer.body
    assert service.kinds() == ["StreamCreated", "StreamUpdated"]


@pytest.mark.parametrize("if_match", [None, "*", " * ", '"1"', '"7", "1"', '"1","2"', 'W/"1", "1"'])
def test_a_patch_of_the_version_that_is_meant_is_made(if_match: str | None) -> None:
    assert Open().patch({"name": "hall"}, if_match).status == 200


@pytest.mark.parametrize("if_match", ['"2"', "", '""', "1", 'W/"1"', '"one"', '"1', '"-1"', '"0001x"', "W/*"])
def test_a_patch_of_another_version_is_not_made(if_match: str) -> None:
    service = Open()
    answer = service.patch({"name": "hall", "options": {"quality": 0.7}}, if_match)
    assert answer.problem(412, "precondition-failed")["retryable"] is True
    assert answer.headers["retry-after"]
    assert service.one().body["name"] == "lobby"
    assert service.provider.calls == []


def test_a_patch_tells_all_its_faults_by_pointer() -> None:
    service = Open()
    problem = service.patch({"name": "", "options": {"quality": CANARY, "nope": 1}}).problem(422, "invalid-request")
    assert {error["pointer"] for error in problem["errors"]} == {"/name", "/options/quality", "/options/nope"}


def test_what_cannot_be_changed_is_a_conflict_that_names_it() -> None:
    service = Open(Plain())
    problem = service.patch({"options": {"quality": 0.7}}).problem(409, "capability-not-supported")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [
        ("/options/quality", "not-changeable")
    ]
    assert service.provider.calls == []
    assert service.patch({"name": "hall", "metadata": {"a": "b"}}).status == 200


@pytest.mark.parametrize("body", ["[]", '"text"', "{", '{"name": "a", "name": "b"}'])
def test_a_patch_that_is_no_json_object_is_malformed(body: str) -> None:
    Open().patch(body).problem(400, "malformed-body")


def test_a_patch_that_changes_nothing_answers_the_stream() -> None:
    service = Open()
    for answer in (service.patch({}), service.one("PATCH"), service.patch({"name": "lobby"}, '"1"')):
        assert (answer.status, answer.headers["etag"]) == (200, '"1"')


def test_a_patch_may_be_of_any_number_that_a_request_may() -> None:
    service = Open()
    assert service.patch('{"options": {"quality": 5e-1}}').headers["etag"] == '"1"'
    assert service.patch('{"options": {"quality": 1}}').body["options"]["quality"] == 1


def test_what_the_provider_says_to_a_patch_is_passed_on() -> None:
    service = Open()
    service.provider.fail("change", ProviderRejected("no", faults=(Fault("/options/quality", "range", "too high"),)))
    service.patch({"options": {"quality": 0.7}}).problem(422, "provider-rejected")
    service.provider.fail("change", ProviderUnavailable("later", retry_after=7))
    answer = service.patch({"options": {"quality": 0.7}})
    answer.problem(503, "provider-unavailable")
    assert answer.headers["retry-after"] == "7"


# ---- read anew, repair


def test_a_refresh_tells_of_drift() -> None:
    service = Open()
    service.provider.alive["ref-1"].settings["/options/quality"] = 0.9
    assert service.one().body["drift"] == []
    assert service.one(query={"refresh": "true"}).body["drift"] == ["/options/quality"]
    assert service.one(query={"refresh": "yes"}).headers["etag"] == '"2"'
    assert service.provider.calls == ["read"]


def test_a_repair_answers_the_stream_as_it_is_since() -> None:
    service = Open()
    service.provider.alive["ref-1"].settings["/options/quality"] = 0.9
    answer = service.post("/repair")
    assert (answer.status, answer.body["drift"], answer.headers["etag"]) == (200, [], '"3"')
    assert service.provider.alive["ref-1"].settings["/options/quality"] == 0.5


def test_where_nothing_can_be_repaired_that_is_said() -> None:
    Open(Plain()).post("/repair").problem(409, "capability-not-supported")


# ---- credentials


def test_credentials_can_be_read_anew_and_are_stored_by_nobody_in_between() -> None:
    service = Open()
    service.provider.exchange("ref-1")
    for query, rotation in ((None, 0), ({"refresh": "true"}, 1)):
        answer = service.one("GET", "/credentials", query=query)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.body["ingest"][0]["stream_key"] == f"{CANARY}ref-1-{rotation}"
    assert service.one().body["credentials_rotated_at"]


def test_a_rotation_answers_the_new_credentials_and_no_others() -> None:
    service = Open()
    answer = service.post("/credentials/rotate")
    assert (answer.status, answer.headers["cache-control"], answer.headers["etag"]) == (200, "no-store", '"2"')
    assert answer.body == service.one("GET", "/credentials").body
    assert answer.body["ingest"][0]["stream_key"] == f"{CANARY}ref-1-1"
    assert f"{CANARY}ref-1-0" not in answer.text
    assert service.one().body["credentials_rotated_at"]


def test_a_rotation_while_somebody_sends_has_to_be_forced() -> None:
    service = Open()
    service.provider.alive["ref-1"].live = True
    service.post("/credentials/rotate").problem(409, "stream-live")
    service.post("/credentials/rotate", query={"force": "false"}).problem(409, "stream-live")
    assert service.post("/credentials/rotate", query={"force": "true"}).status == 200


def test_where_nothing_can_be_rotated_that_is_said() -> None:
    Open(Plain()).post("/credentials/rotate").problem(409, "capability-not-supported")


# ---- the end


def test_a_delete_whose_provider_is_away_is_accepted() -> None:
    service = Open()
    service.provider.fail("remove", ProviderUnavailable("later"))
    answer = service.one("DELETE")
    assert (answer.status, answer.body["state"], answer.body["state_reason"]) == (202, "ending", "deleted")
    assert service.one().body["state"] == "ending"
    service.one("GET", "/credentials").problem(410, "stream-ended")
    service.patch({"name": "hall"}).problem(410, "stream-ended")
    service.post("/credentials/rotate").problem(410, "stream-ended")
    assert service.one("DELETE").status == 204
    problem = service.one().problem(410, "stream-ended")
    assert (problem["reason"], problem["state"]) == ("deleted", "ended")
    assert problem["ended_at"] == service.clock().isoformat()


def test_what_remains_after_a_delete_is_answered_and_a_second_one_has_nothing_to_add() -> None:
    service = Open()
    service.provider.remains = "Its recordings stay."
    answer = service.one("DELETE")
    assert (answer.status, answer.body["remains"], answer.body["state"]) == (200, "Its recordings stay.", "ended")
    assert (service.one("DELETE").status, service.one("DELETE").text) == (204, "")


def test_a_delete_that_the_provider_refuses_for_good_says_so() -> None:
    service = Open()
    service.provider.fail("remove", ProviderRejected("no"))
    service.one("DELETE").problem(422, "provider-rejected")
    assert service.one().body["state"] == "ending"


# ---- adopt


def test_an_adoption_answers_as_a_create_does() -> None:
    service = Service()
    service.provider.place("cam", name="lobby")
    answer = service.call("POST", f"{ROOT}/adopt", body='{"provider_ref": "cam", "metadata": {"a": "b"}}')
    stream = answer.body
    assert (answer.status, answer.headers["cache-control"], answer.headers["etag"]) == (201, "no-store", '"1"')
    assert answer.headers["location"].endswith(f"{ROOT}/{stream['id']}")
    assert stream.pop("credentials")["ingest"][0]["stream_key"] == f"{CANARY}cam-0"
    assert (stream["name"], stream["metadata"], stream["provider_ref"]) == ("lobby", {"a": "b"}, "cam")
    assert service.call("GET", stream["href"]).body == stream
    again = service.call("POST", f"{ROOT}/adopt", body='{"provider_ref": "cam"}')
    assert (again.status, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.body.pop("credentials")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ("{}", {"/provider_ref"}),
        ('{"provider_ref": "", "name": 1, "nope": 2}', {"/provider_ref", "/name", "/nope"}),
        ('{"provider_ref": "cam", "metadata": {"a": 1}}', {"/metadata/a"}),
    ],
)
def test_an_adoption_tells_all_its_faults(body: str, pointers: set[str]) -> None:
    problem = Service().call("POST", f"{ROOT}/adopt", body=body).problem(422, "invalid-request")
    assert {error["pointer"] for error in problem["errors"]} == pointers


def test_what_cannot_be_adopted_says_why() -> None:
    service = Service()
    body = '{"provider_ref": "cam"}'
    service.call("POST", f"{ROOT}/adopt", body=body).problem(404, "not-at-provider")
    one = service.provider.place("cam")
    customer = {"tenant": "jwt:abc:user"}
    service.call("POST", f"{ROOT}/adopt", body=body, authorizer=customer).problem(403, "adoption-not-allowed")
    one.deployment = "another"
    service.call("POST", f"{ROOT}/adopt", body=body).problem(409, "already-recorded")
    one.deployment = None
    assert service.call("POST", f"{ROOT}/adopt", body=body).status == 201
    service.call("POST", f"{ROOT}/adopt", body=body, account="999999999999").problem(409, "already-recorded")


def test_an_adoption_is_malformed_as_a_create_is() -> None:
    Service().call("POST", f"{ROOT}/adopt", body="[]").problem(400, "malformed-body")


# ---- outputs


def test_outputs_are_added_listed_switched_and_removed() -> None:
    service = Open()
    added = service.post("/outputs", OUTPUT)
    assert (added.status, added.body) == (201, {"id": "out-1", "service": "rtmp://live.example", "enabled": True})
    listed = service.one("GET", "/outputs")
    assert (listed.status, listed.body) == (200, {"id": service.id_of(), "outputs": [added.body]})
    switched = service.one("PATCH", "/outputs/out-1", body='{"enabled": false}')
    assert (switched.status, switched.body["enabled"]) == (200, False)
    removed = service.one("DELETE", "/outputs/out-1")
    assert (removed.status, removed.text) == (204, "")
    assert service.one("GET", "/outputs").body["outputs"] == []
    assert CANARY not in "".join(each.text for each in (added, listed, switched, removed))


def test_an_output_tells_its_faults_and_not_its_key() -> None:
    service = Open()
    problem = service.post("/outputs", {"url": CANARY, "stream_key": "", "nope": CANARY}).problem(
        422, "invalid-request"
    )
    assert {error["pointer"] for error in problem["errors"]} == {"/stream_key", "/nope"}
    service.one("PATCH", "/outputs/out-1", body="{}").problem(422, "invalid-request")
    service.one("PATCH", "/outputs/out-1", body='{"enabled": "yes"}').problem(422, "invalid-request")
    assert service.provider.calls == []


def test_an_output_that_is_not_there_is_said_to_be_none() -> None:
    service = Open()
    service.one("PATCH", "/outputs/out-1", body='{"enabled": true}').problem(404, "output-not-found")
    assert service.one("DELETE", "/outputs/out-1").status == 204


def test_where_nothing_is_sent_on_that_is_said() -> None:
    service = Open(Plain())
    for method, suffix, body in (
        ("GET", "/outputs", None),
        ("POST", "/outputs", json.dumps(OUTPUT)),
        ("PATCH", "/outputs/out-1", '{"enabled": true}'),
        ("DELETE", "/outputs/out-1", None),
    ):
        service.one(method, suffix, body=body).problem(409, "capability-not-supported")


# ---- notifications


def test_a_notification_is_taken_without_a_caller() -> None:
    service = Open()
    event = call("POST", "/notifications/fake")
    headers, event["body"] = notification("ref-1", State.LIVE, service.clock() + timedelta(seconds=1))
    event["headers"] = {name.title(): value for name, value in headers.items()}
    event["requestContext"]["identity"] = {"sourceIp": "192.0.2.1"}
    answer = Answered(service.function(event, Context()))
    assert (answer.status, answer.text) == (204, "")
    assert service.one().body["state"] == "live"


def test_a_notification_that_proves_nothing_is_refused() -> None:
    service = Open()
    headers, body = notification("ref-1", State.LIVE, service.clock() + timedelta(seconds=1))
    service.notify({}, body).problem(401, "notification-refused")
    service.notify({"x-fake-notifier": f"{CANARY}guess"}, body).problem(401, "notification-refused")
    service.notify(headers, "{").problem(400, "malformed-body")
    assert service.one().body["version"] == 1


def test_a_notification_of_nobody_s_stream_is_taken_and_forgotten() -> None:
    service = Open()
    assert service.notify(*notification("ref-9", State.LIVE, service.clock())).status == 204
    assert service.one().body["version"] == 1


def test_a_provider_that_tells_nothing_has_no_address_for_it() -> None:
    service = Open(Plain())
    service.notify(*notification("ref-1", State.LIVE, service.clock())).problem(404, "route-not-found")


# ---- all of them


EVERY = pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [
        ("PATCH", "", '{"name": "hall"}'),
        ("POST", "/repair", None),
        ("POST", "/credentials/rotate", None),
        ("GET", "/outputs", None),
        ("POST", "/outputs", json.dumps(OUTPUT)),
        ("PATCH", "/outputs/out-1", '{"enabled": true}'),
        ("DELETE", "/outputs/out-1", None),
    ],
)


@EVERY
def test_another_tenant_s_stream_looks_like_none(method: str, suffix: str, body: str | None) -> None:
    service = Open()
    theirs = service.one(method, suffix, body=body, account="999999999999")
    none = service.call(method, f"{ROOT}/str_{'a' * 52}{suffix}", body=body, account="999999999999")
    theirs.problem(404, "stream-not-found")
    assert (theirs.text, theirs.headers) == (none.text, none.headers)
    assert service.provider.calls == []


@EVERY
def test_what_is_over_is_gone(method: str, suffix: str, body: str | None) -> None:
    service = Open()
    service.one("DELETE")
    assert service.one(method, suffix, body=body).problem(410, "stream-ended")["reason"] == "deleted"


@EVERY
def test_what_is_being_created_is_busy(method: str, suffix: str, body: str | None) -> None:
    service = Service()
    service.provider.fail("create", Killed())
    with suppress(Killed):
        service.create()
    answer = service.one(method, suffix, body=body)
    answer.problem(409, "creation-in-progress")
    assert answer.headers["retry-after"] == str(int(CLAIM_SECONDS))


@EVERY
def test_an_unforeseen_failure_tells_nothing(method: str, suffix: str, body: str | None) -> None:
    service = Open()
    service.store.fail("load", RuntimeError(f"{CANARY}url"))
    service.one(method, suffix, body=body).problem(500, "internal-error")


def test_what_is_rare_is_imported_only_when_it_is_asked_for() -> None:
    code = "import sys, headwater.provider_function; print([m for m in sys.modules if m.startswith('headwater.')])"
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)  # noqa: S603  # our own interpreter
    imported = ran.stdout
    for module in ("rare_routes", "changing", "patches", "rotation", "adoption", "notices", "outputs"):
        assert f"'headwater.{module}'" not in imported
