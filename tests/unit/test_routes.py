"""A call as API Gateway hands it over, and who answers it: as Powertools' resolver would have had it."""

import base64
import json
import re
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.api_gateway import APIGatewayRestResolver
from hypothesis import given
from hypothesis import strategies as st

from headwater.routes import Answer, Answerer, Call, Routes
from tests.unit.test_api import Service, call
from tests.unit.test_queue import Context

# ---- the call


def made(**changed: Any) -> Call:
    return Call(call("POST", "/streams/fake") | changed)


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"])
def test_a_header_is_found_however_its_name_is_written(name: str) -> None:
    assert made(headers={name: "Key-1"}).headers == {"idempotency-key": "Key-1"}


def test_a_call_without_headers_and_query_has_none() -> None:
    """API Gateway says null, and whoever calls by hand says nothing."""
    empty = made(headers=None, queryStringParameters=None)
    assert (empty.headers, empty.query) == ({}, {})
    bare = Call({"requestContext": {}, "httpMethod": "GET", "path": "/"})
    assert (bare.headers, bare.query, bare.text) == ({}, {}, "")


def test_a_query_is_as_it_was_given() -> None:
    assert made(queryStringParameters={"refresh": "true", "cursor": ""}).query == {"refresh": "true", "cursor": ""}


@pytest.mark.parametrize(("body", "text"), [(None, ""), ("", ""), ("{}", "{}"), ("ü", "ü")])
def test_a_body_is_text(body: str | None, text: str) -> None:
    assert made(body=body).text == text
    coded = body and base64.b64encode(body.encode()).decode()
    assert made(body=coded, isBase64Encoded=True).text == text


@pytest.mark.parametrize(
    "body",
    [
        "e30",
        "e30=e",
        "{}==",
        "e3 0=",
        "ü",
        base64.b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_body_that_is_no_base64_or_no_utf8_is_no_text(body: str) -> None:
    wrong = made(body=body, isBase64Encoded=True)
    with pytest.raises(ValueError, match=r"."):
        _ = wrong.text


def test_an_answer_is_as_a_rest_api_takes_it() -> None:
    assert Answer(204, "", {"ETag": '"1"'}).proxied() == {
        "statusCode": 204,
        "multiValueHeaders": {"ETag": ['"1"']},
        "body": "",
        "isBase64Encoded": False,
    }


# ---- the route


def named(name: str) -> Answerer:
    """An answerer that can be told from others."""
    return lambda **_: Answer(200, name, {})


def found(routes: Routes, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """What the answerer is called, and what it is given."""
    at = routes.find(Call(call(method, path)))
    return (at[0]().body, at[1]) if at else None


def routed(*known: tuple[str, str]) -> Routes:
    routes = Routes()
    for number, (method, path) in enumerate(known):
        routes.add(method, path, named(str(number)))
    return routes


STREAMS = routed(
    ("POST", "/streams/a"),
    ("GET", "/streams/a/<stream_id>"),
    ("PATCH", "/streams/a/<stream_id>/outputs/<output_id>"),
    ("GET", "/streams"),
    ("*", "/streams/<+>"),
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/streams/a", ("0", {})),
        ("GET", "/streams/a/str_1", ("1", {"stream_id": "str_1"})),
        ("GET", "/streams/a/<stream_id>", ("1", {"stream_id": "<stream_id>"})),
        ("PATCH", "/streams/a/str_1/outputs/out 2", ("2", {"stream_id": "str_1", "output_id": "out 2"})),
        ("GET", "/streams", ("3", {})),
        ("POST", "/streams/b", ("4", {})),
        ("PURGE", "/streams/b/c/d/e", ("4", {})),
        ("PATCH", "/streams/a/str_1/outputs", ("4", {})),
        ("POST", "/streams", None),
        ("GET", "/stream", None),
        ("GET", "/Streams", None),
        ("GET", "/a/streams", None),
        ("GET", "/", None),
        ("GET", "", None),
    ],
)
def test_the_first_route_that_fits_is_taken(method: str, path: str, expected: Any) -> None:
    assert found(STREAMS, method, path) == expected


def test_of_several_that_fit_the_first_is_taken() -> None:
    same = [("GET", "/a/<x>"), ("GET", "/a/b"), ("GET", "/a/<+>")]
    assert found(routed(*same), "GET", "/a/b") == ("0", {"x": "b"})
    assert found(routed(*reversed(same)), "GET", "/a/b") == ("0", {})
    assert found(routed(same[1], same[0]), "GET", "/a/b") == ("0", {})


@pytest.mark.parametrize("slashes", ["/", "//", "///"])
def test_slashes_at_the_end_are_nothing(slashes: str) -> None:
    """API Gateway takes such a call for the resource without them, and hands the path over as it was sent."""
    assert found(STREAMS, "POST", f"/streams/a{slashes}") == ("0", {})
    assert found(STREAMS, "GET", f"/streams/a/str_1{slashes}") == ("1", {"stream_id": "str_1"})
    assert found(STREAMS, "GET", f"/streams{slashes}") == ("3", {})


@pytest.mark.parametrize("path", ["//streams", "/streams//a", "//streams/a", "/streams/a//outputs/1", "streams"])
def test_no_name_and_no_word_is_empty(path: str) -> None:
    for method in ("GET", "POST", "PATCH"):
        assert found(STREAMS, method, path) is None


def test_all_that_follows_is_something() -> None:
    rest = routed(("*", "/streams/<+>"))
    assert found(rest, "GET", "/streams") is None
    assert found(rest, "GET", "/streams/") is None
    assert found(rest, "GET", "/streams/x/") == ("0", {})


def test_what_is_known_is_told() -> None:
    assert routed(("GET", "/a"), ("*", "/b/<+>")).known == [("GET", "/a"), ("*", "/b/<+>")]


# ---- as Powertools has it


def resolver(known: list[tuple[str, str]]) -> APIGatewayRestResolver:
    """The same routes; each answers with its place and with what it is given."""
    made = APIGatewayRestResolver()

    def answering(place: int) -> Any:
        return lambda **given: {"place": place, **given}

    for place, (method, path) in enumerate(known):
        made.route(path, method)(answering(place))
    return made


SERVICE = Service()
LAMBDA: Any = Context()
KNOWN = SERVICE.function.api.routes.known
RESOLVER = resolver(KNOWN)
WORDS = [
    "streams",
    "fake",
    "adopt",
    "outputs",
    "credentials",
    "rotate",
    "events",
    "keepalive",
    "repair",
    "notifications",
]


@given(
    st.sampled_from(sorted({method for method, _ in KNOWN})),
    st.lists(st.sampled_from([*WORDS, "str_1", "x y", "a+b", "ü", "str_1<>", "."]), max_size=6),
    st.sampled_from(["", "/", "//"]),
    st.booleans(),
)
def test_the_routes_of_a_provider_are_found_as_by_powertools(
    method: str, words: list[str], end: str, below: bool
) -> None:
    path = "/" + "/".join((["streams", "fake"] if below else []) + words) + end
    event = call(method, path)
    answer = RESOLVER.resolve(event, LAMBDA)
    at = SERVICE.function.api.routes.find(Call(event))
    if answer["statusCode"] == 404:
        assert at is None
        return
    assert at
    told = json.loads(answer["body"])
    routes = [each for each in SERVICE.function.api.routes._routes if each[2] is at[0]]
    assert routes
    assert told["place"] == SERVICE.function.api.routes._routes.index(routes[0])
    assert at[1] == {name: value for name, value in told.items() if name != "place"}


def test_every_route_has_its_call_among_those_compared() -> None:
    for method, path in KNOWN:
        event = call(method, re.sub(r"<\w+>", "str_1", path))
        assert RESOLVER.resolve(event, LAMBDA)["statusCode"] == 200
        assert SERVICE.function.api.routes.find(Call(event))
