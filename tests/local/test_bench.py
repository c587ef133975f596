"""What `make bench` counts as done, how it judges and what it writes; nothing is measured here."""

import base64
import json
import os
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from bench.__main__ import chosen, finish
from bench.answers import Answers, Seen, veiled
from bench.budgets import judged
from bench.built import Built, moved
from bench.certificates import Certificates, make
from bench.done import NotDone, require_done
from bench.figures import METRICS, Kind, Row, Spread
from bench.packages import PEERS
from bench.report import BEGIN, END, as_json, between_marks, tables
from bench.rounds import MOST, kind_of, until_agreed
from bench.runtime_api import Failed, RuntimeApi, runtime_api
from bench.standins import stand_ins
from bench.subjects import BEFORE, REFERENCE, Subject, event, peers
from bench.trust import trusting
from tests.local.conftest import NO_TLS, ROOT

type Json = dict[str, Any]

# ---- budgets


def row(name: str, kind: Kind = Kind.PEER, **figures: float) -> Row:
    usual = {"cold_minstr": 1000.0, "warm_cpu_ms": 4.0, "wire_units": 2.0, "memory_mb": 50.0, "unzipped_mb": 30.0}
    return Row(name, kind, {metric: Spread.of([value]) for metric, value in {**usual, **figures}.items()})


PEER_ROWS = [row(REFERENCE), row("cf_sdk", cold_minstr=2000.0)]


def over(*rows: Row) -> list[tuple[str, str]]:
    """What is exceeded: whose it is, and the budget's first words."""
    found = [verdict for verdict in judged([*PEER_ROWS, *rows]) if not verdict.ok]
    return [(verdict.name, " ".join(verdict.what.split()[:2])) for verdict in found]


WITHIN = {"cold_minstr": 800.0, "warm_cpu_ms": 6.6, "wire_units": 3.0, "memory_mb": 50.0, "unzipped_mb": 25.0}


def test_a_function_that_uses_its_budgets_up_keeps_them() -> None:
    assert over(row("ours", Kind.HTTP, **WITHIN)) == []


@pytest.mark.parametrize(
    ("metric", "figure", "budget"),
    [
        ("cold_minstr", 801.0, "instructions of"),
        ("warm_cpu_ms", 6.7, "warm CPU"),
        ("wire_units", 2.9, "warm CPU"),
        ("memory_mb", 50.1, "peak memory,"),
        ("unzipped_mb", 25.1, "unzipped function"),
    ],
)
def test_each_budget_is_exceeded_by_itself(metric: str, figure: float, budget: str) -> None:
    assert over(row("ours", Kind.HTTP, **{**WITHIN, metric: figure})) == [("ours", budget)]


def test_a_function_is_also_held_to_the_provider_s_own_sdk() -> None:
    rows = [row(REFERENCE), row("cf_sdk", cold_minstr=1400.0), row("ours", Kind.HTTP, **WITHIN)]
    assert [(verdict.figure, verdict.ok) for verdict in judged(rows)][:2] == [(0.8, True), (800 / 1400, False)]


def test_a_provider_of_aws_s_own_may_take_as_much_as_the_reference() -> None:
    assert over(row("ours", Kind.AWS, **{**WITHIN, "cold_minstr": 1000.0})) == []
    assert over(row("ours", Kind.AWS, **{**WITHIN, "cold_minstr": 1001.0})) == [("ours", "instructions of")]


def test_peers_and_what_was_before_are_not_judged() -> None:
    assert (
        over(row("cookbook", Kind.PEER, cold_minstr=9000.0), row("ours (before)", Kind.BEFORE, cold_minstr=1e6)) == []
    )


def test_what_was_not_measured_is_not_judged() -> None:
    alone = Row("ours", Kind.HTTP, {"cold_minstr": Spread.of([9000.0])})
    assert judged([alone]) == []
    assert [verdict.ok for verdict in judged([*PEER_ROWS, alone])] == [False, False]


# ---- what a create has to leave behind


@pytest.fixture
def seen() -> Seen:
    return Seen()


KEY = {"pk": {"S": "STREAM#s-1"}, "sk": {"S": "STREAM"}}
EVENT_KEY = {"pk": {"S": "STREAM#s-1"}, "sk": {"S": "EVENT#0000000001"}}


class Create:
    """A create by the calls that ours make, each of which can be done otherwise."""

    def __init__(self, seen: Seen) -> None:
        self._answers = Answers(seen)
        self.seen = seen
        self.record: Callable[[str], Json] = lambda ref: {**KEY, "record": {"S": ref}}
        self.seal: Callable[[str], bytes] = self.by_kms
        self.transact: Callable[..., None] = self.write

    def aws(self, target: str, **asked: Any) -> Any:
        status, told = self._answers.to("POST", "/", target, json.dumps(asked).encode())
        assert status == 200
        return told.get("CiphertextBlob", told)

    def by_kms(self, plain: str) -> bytes:
        return base64.b64decode(self.aws("TrentService.Encrypt", KeyId="k", Plaintext=plain))

    def at_the_provider(self) -> Json:
        path = "/client/v4/accounts/bench-account/stream/live_inputs"
        made: Json = self._answers.to("POST", path, None, b"{}")[1]["result"]
        return made

    def sealed(self, secret: str) -> bytes:
        return self.seal(base64.b64encode(zlib.compress(secret.encode())).decode())

    def done(self) -> Json:
        made = self.at_the_provider()
        secret = made["rtmps"]["streamKey"]
        record = {**self.record(made["uid"]), "credentials": {"B": base64.b64encode(self.sealed(secret)).decode()}}
        self.aws("DynamoDB_20120810.PutItem", TableName="t", Item=KEY)
        self.transact(record, EVENT_KEY)
        return {"statusCode": 201, "body": json.dumps({"id": "s-1", "ingest": secret})}

    def write(self, *items: Json) -> None:
        self.aws("DynamoDB_20120810.TransactWriteItems", TransactItems=[{"Put": {"Item": item}} for item in items])


def refused(create: Create, answer: Json) -> str:
    """Why."""
    with pytest.raises(NotDone) as refusal:
        require_done("ours", True, create.seen, answer)
    return str(refusal.value).removeprefix("ours: ")


@pytest.fixture
def create(seen: Seen) -> Create:
    return Create(seen)


def test_a_create_that_does_all_of_its_job_is_taken(create: Create) -> None:
    require_done("ours", True, create.seen, create.done())
    assert create.seen.wire_units == 3


def test_another_answer_than_201_is_refused(create: Create) -> None:
    assert refused(create, {**create.done(), "statusCode": 202}).startswith("answered {")


@pytest.mark.parametrize("body", ["", "{}", json.dumps({"id": ""})])
def test_an_answer_without_an_id_is_refused(create: Create, body: str) -> None:
    assert refused(create, {**create.done(), "body": body}) == "answered no id"


def test_an_answer_without_credentials_is_refused(create: Create) -> None:
    assert refused(create, {**create.done(), "body": json.dumps({"id": "s-1"})}) == "answered no credentials"


def test_a_create_that_makes_nothing_at_the_provider_is_refused(create: Create) -> None:
    answer = create.done()
    create.seen.made.clear()
    assert refused(create, answer) == "made 0 at the provider"


def test_a_second_resource_at_the_provider_is_refused(create: Create) -> None:
    create.at_the_provider()
    assert refused(create, create.done()) == "made 2 at the provider"


def test_a_create_without_a_record_is_refused(create: Create) -> None:
    answer = create.done()
    del create.seen.items[("STREAM#s-1", "STREAM")]
    assert refused(create, answer) == "recorded 0 streams"


def test_a_record_that_was_never_settled_is_refused(create: Create) -> None:
    create.record = lambda _: KEY
    assert refused(create, create.done()) == "recorded a stream without the provider's name for it"


def test_a_create_without_an_event_is_refused(create: Create) -> None:
    answer = create.done()
    del create.seen.items[("STREAM#s-1", "EVENT#0000000001")]
    assert refused(create, answer) == "wrote 0 events"


def test_an_event_that_is_written_by_itself_is_refused(create: Create) -> None:
    def one_by_one(*items: Json) -> None:
        for item in items:
            create.write(item)

    create.transact = one_by_one
    assert refused(create, create.done()) == "wrote the event without the record"


def test_what_was_not_sealed_is_refused(create: Create) -> None:
    create.seal = lambda plain: veiled(base64.b64decode(plain))
    assert refused(create, create.done()) == "sealed nothing"


@pytest.mark.parametrize(
    "left",
    [
        lambda secret: {"S": f"rtmps://{secret}"},
        lambda secret: {"B": base64.b64encode(secret.encode()).decode()},
        lambda secret: {"B": base64.b64encode(zlib.compress(secret.encode())).decode()},
        lambda secret: {"M": {"deep": {"L": [{"S": secret}]}}},
    ],
)
def test_credentials_in_plain_text_in_any_item_are_refused(create: Create, left: Callable[[str], Json]) -> None:
    answer = create.done()
    create.aws(
        "DynamoDB_20120810.PutItem", TableName="t", Item={**KEY, "sk": {"S": "X"}, "x": left(create.seen.handed[0])}
    )
    assert refused(create, answer) == "wrote credentials in plain text"


def test_a_call_that_no_create_needs_is_refused(create: Create) -> None:
    answer = create.done()
    assert Answers(create.seen).to("POST", "/", "TrentService.DisableKey", b"{}")[0] == 400
    assert refused(create, answer).startswith('asked for ["TrentService.DisableKey')


def test_a_peer_puts_its_event_on_the_bus(create: Create) -> None:
    answer = create.done()
    with pytest.raises(NotDone, match="boto_min: put 0 events"):
        require_done("boto_min", False, create.seen, answer)
    create.aws("AWSEvents.PutEvents", Entries=[{}])
    require_done("boto_min", False, create.seen, answer)


def test_nothing_is_left_of_the_create_before(create: Create) -> None:
    create.done()
    create.seen.forget()
    assert create.seen == Seen()


# ---- the runtime's side


@pytest.fixture
def runtime() -> Iterator[RuntimeApi]:
    with runtime_api() as api:
        yield api


def asking(runtime: RuntimeApi, path: str, answer: Json) -> "Future[Json]":
    """A function that takes one event and sends this to that path; the event."""

    def run() -> Json:
        base = f"http://{runtime.address}/2018-06-01/runtime"
        with httpx.Client(verify=NO_TLS, timeout=5) as client:
            event = client.get(f"{base}/invocation/next")
            client.post(f"{base}{path}", json=answer)
            told: Json = event.json()
            return told

    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(run)
        assert runtime.ready(5) > 0
        try:
            runtime.invoke({"an": "event"}, 5)
        finally:
            taken.result(5)
        return taken


def test_a_function_is_handed_the_event(runtime: RuntimeApi) -> None:
    assert asking(runtime, "/invocation/1/response", {"statusCode": 201}).result() == {"an": "event"}


def test_a_function_that_raises_has_failed(runtime: RuntimeApi) -> None:
    with pytest.raises(Failed, match="KeyError"):
        asking(runtime, "/invocation/1/error", {"errorType": "KeyError"})


def test_nobody_waits_for_a_function_whose_process_is_over(runtime: RuntimeApi) -> None:
    runtime.ended()
    with pytest.raises(Failed):
        runtime.ready(5)
    with pytest.raises(Failed):
        runtime.invoke({}, 5)


# ---- the stand-ins, and who is trusted


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def address(certificates: Certificates) -> Iterator[tuple[str, int]]:
    with stand_ins(certificates) as seen:
        found = urlsplit(seen.url)
        yield str(found.hostname), int(found.port or 0)


def greet(address: tuple[str, int], context: ssl.SSLContext) -> None:
    """A handshake. Raises ``ssl.SSLError`` where the certificate is not trusted."""
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname=address[0]):
        pass


def test_what_a_layer_trusts_is_kept_and_this_run_s_authority_is_added(
    tmp_path: Path, certificates: Certificates, address: tuple[str, int]
) -> None:
    roots = tmp_path / "built" / "python" / "roots"
    (roots / "hashed").mkdir(parents=True)
    another = make(tmp_path / "another").authority.read_text()
    for name in ("amazon.pem", "hashed/0a1b2c3d.0"):
        (roots / name).write_text(another)
    there = trusting([tmp_path / "built"], certificates.authority, tmp_path / "there") / "python" / "roots"
    greet(address, ssl.create_default_context(cafile=str(there / "amazon.pem")))
    greet(address, ssl.create_default_context(capath=str(there / "hashed")))
    with pytest.raises(ssl.SSLError):
        greet(address, ssl.create_default_context(cafile=str(roots / "amazon.pem")))
    assert (roots / "amazon.pem").read_text() == another
    assert (there / "amazon.pem").read_text().startswith(another)
    assert os.listdir(roots / "hashed") == ["0a1b2c3d.0"]


def test_what_two_layers_have_is_the_later_one_s(tmp_path: Path, certificates: Certificates) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    there = trusting([tmp_path / "first", tmp_path / "second"], certificates.authority, tmp_path / "there")
    assert (there / "file").read_text() == "second"
    assert (tmp_path / "first" / "file").read_text() == "first"


# ---- what is measured


TEMPLATE: Json = {
    "Parameters": {"BaseUrl": {"Default": "https://api.example.net/v4"}, "Stage": {"Default": "default"}},
    "Conditions": {"IsDefault": {"Fn::Equals": [{"Ref": "Stage"}, "default"]}},
    "Globals": {
        "Function": {
            "Layers": [{"Ref": "SharedLayer"}],
            "Environment": {"Variables": {"TABLE_NAME": {"Ref": "Table"}, "KIND": "shared"}},
        }
    },
    "Resources": {
        "SharedLayer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "SharedLayer"}},
        "OwnLayer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "OwnLayer"}},
        "Table": {"Type": "AWS::DynamoDB::Table"},
        "Key": {"Type": "AWS::KMS::Key"},
        "CloudflareSecret": {"Type": "AWS::SecretsManager::Secret"},
        "OneFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Handler": "provision_one.handler.handler",
                "CodeUri": "OneFunction",
                "Layers": [{"Ref": "OwnLayer"}],
                "Environment": {
                    "Variables": {
                        "KIND": "own",
                        "KEY": {"Fn::GetAtt": ["Key", "Arn"]},
                        "URL": {"Fn::If": ["IsDefault", {"Ref": "BaseUrl"}, "https://never.example.net"]},
                        "NAME": {"Fn::Sub": "${Stage}-${AWS::Region}"},
                        "ROOTS": "/opt/python/roots",
                        "SECRET": {"Ref": "CloudflareSecret"},
                    }
                },
            },
        },
    },
}


def test_a_function_has_the_variables_and_the_layers_of_the_built_template(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(yaml.safe_dump(TEMPLATE))
    (one,) = Built(tmp_path).functions()
    assert (one.folder, one.code) == ("provision_one", tmp_path / "OneFunction")
    assert one.layers == (tmp_path / "SharedLayer", tmp_path / "OwnLayer")
    here = moved(one.variables, "https://127.0.0.1:1", Path("unpacked"))
    assert here["KIND"] == "own"
    assert here["URL"] == "https://127.0.0.1:1/v4"
    assert here["NAME"] == "default-eu-central-1"
    assert here["ROOTS"] == "unpacked/python/roots"
    assert here["KEY"].startswith("arn:aws:kms:")
    assert "cloudflare" in here["SECRET"].lower()


ONE = Subject(
    "one", "cloudflare", "one.handler.handler", Path("one"), variables={"PROVIDER_SECRET_ARN": "a"}, ours=True
)


def test_what_a_function_is_to_the_budgets_is_found_in_what_it_is_made_of() -> None:
    assert kind_of(ONE) is Kind.HTTP
    assert kind_of(replace(ONE, variables={})) is Kind.AWS
    assert kind_of(replace(ONE, name=ONE.name + BEFORE)) is Kind.BEFORE
    assert {kind_of(peer) for peer in peers(Path("laid-out"))} == {Kind.PEER}


def test_there_is_a_file_for_each_peer_and_the_reference_also_runs_without_bytecode() -> None:
    assert all((ROOT / "bench" / "peers" / f"{name}.py").exists() for name in PEERS)
    assert [peer.name for peer in peers(Path("laid-out"))] == [*PEERS, f"{REFERENCE} (no bytecode)"]


def test_options_lead_a_create_another_way() -> None:
    assert "options" not in json.loads(event(ONE, "k")["body"])
    assert json.loads(event(replace(ONE, options={"a": 1}), "k")["body"])["options"] == {"a": 1}


def test_a_narrow_run_takes_a_function_with_what_it_was_before() -> None:
    subjects = [ONE, replace(ONE, name="one (before)"), replace(ONE, name="two")]
    assert [subject.name for subject in chosen(subjects, ["one"])] == ["one", "one (before)"]
    assert chosen(subjects, []) == subjects
    with pytest.raises(SystemExit, match=r"There is no three; there are one, two\."):
        chosen(subjects, ["three"])


@pytest.mark.parametrize(
    ("counts", "taken"), [([100.0, 101.0, 0.0], 2), ([100.0, 102.0, 101.0] + [101.0] * 9, MOST), ([0.0, 0.0], 2)]
)
def test_instructions_are_counted_again_until_all_counts_agree(counts: list[float], taken: int) -> None:
    left = iter(counts)
    spread = until_agreed(lambda: next(left))
    assert len(counts) - len(list(left)) == taken
    assert (spread.low, spread.high) == (min(counts[:taken]), max(counts[:taken]))


# ---- what is written


def test_only_what_is_between_the_marks_is_replaced() -> None:
    before = f"# Title\n\n{BEGIN}\nold\n{END}\n\nProse about {METRICS['modules']}.\n"
    after = between_marks(before, "new")
    assert after == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nProse about modules.\n"
    assert between_marks(after, "new") == after


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}", f"{BEGIN} {END} {END}"])
def test_a_text_without_one_place_for_the_table_is_left_alone(text: str) -> None:
    with pytest.raises(ValueError, match="the text needs"):
        between_marks(text, "new")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "performance.md").write_text(f"Before.\n{BEGIN}\n{END}\nAfter.\n")
    return tmp_path


def test_a_whole_run_writes_the_table_and_the_figures(docs: Path) -> None:
    rows = [*PEER_ROWS, row("ours", Kind.HTTP, **WITHIN)]
    assert finish(rows, judged(rows), 7, docs, narrow=False) == 0
    document = (docs / "performance.md").read_text()
    assert document.startswith("Before.\n")
    assert document.endswith("\nAfter.\n")
    assert "| `ours` |  | 800 (0.80) |" in document
    told = json.loads((docs / "performance.json").read_text())
    assert told.keys() == {"measured", "machine", "rounds", "functions"}
    assert told["functions"]["ours"]["warm_cpu_ms"] == {"median": 6.6, "low": 6.6, "high": 6.6}


def test_a_narrow_run_writes_nothing(docs: Path) -> None:
    finish(PEER_ROWS, [], 1, docs, narrow=True)
    assert os.listdir(docs) == ["performance.md"]
    assert (docs / "performance.md").read_text() == f"Before.\n{BEGIN}\n{END}\nAfter.\n"


def test_an_exceeded_budget_is_how_the_command_ends(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*PEER_ROWS, row("ours", Kind.HTTP, **{**WITHIN, "memory_mb": 60.0})]
    assert finish(rows, judged(rows), 1, docs, narrow=True) == 1
    told = capsys.readouterr().out
    assert "| `ours` | peak memory, to boto_min | 1.20 | 1.00 | **over** |" in told
    assert "4 of 5 budgets are kept." in told


def test_the_table_shows_medians_by_the_reference_and_how_far_the_runs_went_apart() -> None:
    apart = Row("ours", Kind.HTTP, {"init_ms": Spread.of([300.0, 100.0, 200.0])})
    table = tables([row(REFERENCE, init_ms=400.0), apart], [], "Heading.")
    assert "| `ours` |  |  | 200 (0.50) |" in table
    assert "| `ours` |  |  | 100 to 300 |" in table


def test_the_figures_are_those_that_other_commands_read() -> None:
    told = json.loads(as_json([row("ours", modules=7)], "2026-11-21", "a machine", 7))
    assert (told["measured"], told["machine"], told["rounds"]) == ("2026-11-21", "a machine", 7)
    assert told["functions"]["ours"]["modules"]["median"] == 7


def test_the_document_has_its_place_for_the_table() -> None:
    document = (ROOT / "docs" / "performance.md").read_text()
    assert between_marks(document, "new") != document
