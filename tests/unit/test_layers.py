"""What the layers are made of: certificates by OpenSSL's names, botocore's data cut to what is called, bytecode."""

import base64
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore
import certifi
import pytest
from botocore import UNSIGNED, xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import Session
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from tests.house.subjects import ROOT, product
from tests.unit.authorities import Authority, common_name
from tests.unit.test_cold_start import built_with

FOLDER = ROOT / "layers" / "dependencies"
CALLED: dict[str, list[str]] = json.loads((FOLDER / "operations.json").read_text())
OPERATIONS = [(service, operation) for service, operations in CALLED.items() for operation in operations]
roots, botocore_data = built_with("roots"), built_with("botocore_data")


# ---- certificates, by the names that OpenSSL looks for

KNOWN = {
    "Amazon Root CA 1": "ce5e74ef",
    "ISRG Root X1": "4042bcee",
    "GTS Root R1": "1001acf7",
    "DigiCert Global Root G2": "607986c7",
}
"""As ``openssl x509 -subject_hash`` tells them."""


def of_everybody() -> dict[str, str]:
    """certifi's certificates, by their labels."""
    text = Path(certifi.where()).read_text()
    parts = re.findall(r'# Label: "(.+?)"\n.*?(-----BEGIN.+?-----END CERTIFICATE-----\n)', text, re.DOTALL)
    return dict(parts)


@pytest.mark.parametrize("label", KNOWN)
def test_a_known_root_has_the_name_that_openssl_gives_it(label: str) -> None:
    assert roots.subject_hash(ssl.PEM_cert_to_DER_cert(of_everybody()[label])) == KNOWN[label]


def named(*attributes: tuple[x509.ObjectIdentifier, str, _ASN1Type]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, text, kind) for oid, text, kind in attributes])


UTF8, PRINTABLE, BMP = _ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString
T61, IA5, UNIVERSAL = _ASN1Type.T61String, _ASN1Type.IA5String, _ASN1Type.UniversalString
NAMES = {
    "plain": common_name("authority"),
    "capitals": common_name("AuTHority OF Mine"),
    "blanks": common_name("  two   words \t and  more  "),
    "beyond ASCII": common_name("Ünïté ÀÉ İstanbul ΣΑΣ 認証局"),
    "blanks beyond ASCII": common_name("\u00a0a\u00a0\u00a0b\u2003c\u00a0"),
    "printable": named((NameOID.COUNTRY_NAME, "DE", PRINTABLE), (NameOID.COMMON_NAME, "Some  CA", PRINTABLE)),
    "two bytes": named((NameOID.COMMON_NAME, "Älter  CA", BMP)),
    "one byte": named((NameOID.COMMON_NAME, "Old CA", T61)),
    "IA5": named((NameOID.EMAIL_ADDRESS, "CA@Example.ORG", IA5), (NameOID.COMMON_NAME, "x", UTF8)),
    "four bytes": named((NameOID.COMMON_NAME, "Wide  CA", UNIVERSAL)),
    "several in one": x509.Name(
        [
            x509.RelativeDistinguishedName(
                [
                    x509.NameAttribute(NameOID.COMMON_NAME, "Both"),
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "At  Once"),
                ]
            ),
            x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "O" * 60)]),
        ]
    ),
    "long": named(
        *((NameOID.ORGANIZATIONAL_UNIT_NAME, f"Unit  {number} " + "X" * 40, UTF8) for number in range(9)),
        (NameOID.COMMON_NAME, "Long", UTF8),
    ),
}


def shakes_hands(url: str, folder: Path) -> bool:
    """Whether a server proves itself to who knows only the certificates of a directory."""
    context = ssl.create_default_context(capath=folder)
    address = "127.0.0.1", int(url.rpartition(":")[2])
    with socket.create_connection(address, timeout=10) as connection:
        try:
            with context.wrap_socket(connection, server_hostname="127.0.0.1"):
                return True
        except ssl.SSLCertVerificationError:
            return False


@pytest.mark.parametrize("name", NAMES)
def test_a_handshake_finds_its_authority_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    authority, other = Authority(NAMES[name]), Authority(common_name("another"))
    with_it, without = tmp_path / "with", tmp_path / "without"
    for folder in (with_it, without):
        folder.mkdir()
        roots.add(folder, [other.pem])
    roots.add(with_it, [authority.pem])
    with authority.serving(tmp_path) as url:
        assert shakes_hands(url, with_it)
        assert not shakes_hands(url, without)


@pytest.mark.parametrize("at_once", [True, False])
def test_of_two_authorities_of_one_name_each_is_found(tmp_path: Path, at_once: bool) -> None:
    twins = Authority(common_name("Twin")), Authority(common_name("tWIN "))
    for pems in [[each.pem for each in twins]] if at_once else [[each.pem] for each in twins]:
        roots.add(tmp_path, pems)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".0", ".1"]
    assert len({file.stem for file in tmp_path.iterdir()}) == 1
    (tmp_path / "keys").mkdir()
    for twin in twins:
        with twin.serving(tmp_path / "keys") as url:
            assert shakes_hands(url, tmp_path)


def test_a_certificate_of_the_first_version_is_read_too() -> None:
    """It names no version, so that its fields begin with the serial number."""
    der = Authority(common_name("authority")).der
    certificate = roots._content(der)
    first, *rest = roots._parts(certificate)
    fields = roots._parts(roots._content(first))
    assert fields[0][0] == 0xA0
    older = roots._wrapped(0x30, roots._wrapped(0x30, b"".join(fields[1:])) + b"".join(rest))
    assert roots.subject_hash(older) == roots.subject_hash(der)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("laid") / "roots"
    roots.lay_out(Path(certifi.where()), folder)
    return folder


def names_in(file: Path) -> set[str]:
    """The names of the certificates in a file, by Python's own reader."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    found: list[Any] = context.get_ca_certs()
    return {value for one in found for ((key, value),) in one["subject"] if key == "commonName"}


def encoded(text: str) -> list[bytes]:
    return [
        ssl.PEM_cert_to_DER_cert(part)
        for part in re.findall(r"-----BEGIN.+?-----END CERTIFICATE-----", text, re.DOTALL)
    ]


def test_amazon_s_five_roots_and_no_other_are_in_a_file_of_their_own(laid_out: Path) -> None:
    file = laid_out / "amazon.pem"
    assert file.read_text().count("BEGIN CERTIFICATE") == 5
    amazon = {f"Amazon Root CA {number}" for number in (1, 2, 3, 4)}
    assert names_in(file) == {*amazon, "Starfield Services Root Certificate Authority - G2"}


def test_each_certificate_of_everybody_is_in_the_directory(laid_out: Path) -> None:
    files = list((laid_out / "hashed").iterdir())
    assert sorted(each for file in files for each in encoded(file.read_text())) == sorted(
        encoded(Path(certifi.where()).read_text())
    )
    assert all(re.fullmatch(r"[0-9a-f]{8}\.[0-9]", file.name) for file in files)
    assert {f"{name}.0" for name in KNOWN.values()} <= {file.name for file in files}


@pytest.mark.parametrize("label", ["Amazon Root CA 3", "Starfield Services Root Certificate Authority - G2"])
def test_a_bundle_that_lacks_one_of_amazon_s_is_not_taken(tmp_path: Path, label: str) -> None:
    text = Path(certifi.where()).read_text()
    [part] = re.findall(
        rf'# Issuer[^\n]+\n# Subject[^\n]+\n# Label: "{label}"\n.+?-----END CERTIFICATE-----\n', text, re.DOTALL
    )
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(text.replace(part, ""))
    with pytest.raises(ValueError, match="five roots, not 4"):
        roots.lay_out(bundle, tmp_path / "roots")


def test_one_that_only_calls_itself_like_amazon_s_is_not_amazon_s(tmp_path: Path) -> None:
    text = Path(certifi.where()).read_text().replace("CN=Amazon Root CA 4 ", "CN=Amazon Root CA 42 ")
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(text)
    with pytest.raises(ValueError, match="five roots, not 4"):
        roots.lay_out(bundle, tmp_path / "roots")


# ---- botocore's data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """botocore's, after the build."""
    folder: Path = tmp_path_factory.mktemp("botocore") / "data"
    shutil.copytree(Path(botocore.__file__).parent / "data", folder)
    botocore_data.slim(folder, CALLED)
    return folder


@pytest.fixture(scope="module")
def slim(data: Path) -> Session:
    """A session that has nothing else: botocore's own data, as they are in the layer."""

    class Cut(Loader):
        BUILTIN_DATA_PATH = str(data)
        CUSTOMER_DATA_PATH = str(data / "nowhere")

    return session_of(Cut())


@pytest.fixture(scope="module")
def full() -> Session:
    return session_of(Loader())


def session_of(loader: Loader) -> Session:
    made = Session()
    made.register_component("data_loader", loader)
    return made


class Wire:
    """A client whose calls go nowhere: what it would send is kept, and what it is answered is given."""

    def __init__(self, session: Session, service: str, region: str = "eu-central-1") -> None:
        config = Config(signature_version=UNSIGNED, parameter_validation=False, user_agent="unit")
        self.client: Any = session.create_client(service, region_name=region, config=config)
        events: Any = self.client.meta.events
        events.register("before-send", self._answer)
        self.model = self.client.meta.service_model
        self.body = b"{}"

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        varying = {"amz-sdk-invocation-id"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in varying}
        self.sent = request.method, request.url, headers, request.body
        self.raw = Raw(self.body)
        answered: Any = {"content-length": str(len(self.body))}
        return AWSResponse(request.url, 200, answered, self.raw)

    def call(self, operation: str, given: dict[str, Any], body: bytes) -> Any:
        """What was sent, and what was made of the answer."""
        self.body = body
        answer = getattr(self.client, xform_name(operation))(**given)
        return self.sent, {name: value for name, value in answer.items() if name != "ResponseMetadata"}


class Raw:
    """A body as urllib3 has it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content


MOMENT = datetime(2026, 11, 21, tzinfo=UTC)


def sample(shape: Shape, *, depth: int = 0) -> Any:
    """A value of this shape, with every member that it has; of several that exclude each other, the first."""
    match shape:
        case StructureShape():
            members = list(shape.members.items()) if depth < 6 else []
            chosen = members[:1] if shape.is_tagged_union else members
            return {name: sample(member, depth=depth + 1) for name, member in chosen}
        case ListShape():
            return [sample(shape.member, depth=depth + 1)]
        case MapShape():
            return {"key": sample(shape.value, depth=depth + 1)}
    plain = {"boolean": True, "blob": b"bytes", "timestamp": MOMENT, "float": 1.5, "double": 1.5}
    enum = getattr(shape, "enum", None)
    return plain.get(shape.type_name, (enum or ["text"])[0] if shape.type_name == "string" else 7)


def as_wire(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.timestamp() if isinstance(value, datetime) else str(value)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_every_operation_is_called_and_answered_as_with_all_the_data(
    slim: Session, full: Session, service: str, operation: str
) -> None:
    whole = Wire(full, service)
    model = whole.model.operation_model(operation)
    given = sample(model.input_shape) if model.input_shape else {}
    output = sample(model.output_shape) if model.output_shape else {}
    body = json.dumps(output, default=as_wire).encode()
    sent, told = Wire(slim, service).call(operation, given, body)
    assert (sent, told) == whole.call(operation, given, body)
    assert sent[3]
    assert set(told) == set(output)


@pytest.mark.parametrize(("service", "operation"), OPERATIONS)
def test_every_shape_of_an_operation_is_as_it_was_but_for_what_explains_it(
    slim: Session, full: Session, service: str, operation: str
) -> None:
    left, right = (described(each, service, operation) for each in (slim, full))
    assert left == right
    kept: Any = slim.get_service_model(service).operation_model(operation)
    assert "documentation" not in kept._operation_model


def described(session: Session, service: str, operation: str) -> dict[str, Any]:
    """An operation and all shapes that it leads to, its errors too; without documentation."""
    model = session.get_service_model(service)
    one: Any = model.operation_model(operation)
    found: dict[str, Any] = {}
    waiting = [shape for shape in (one.input_shape, one.output_shape, *one.error_shapes) if shape]
    while waiting:
        shape: Any = waiting.pop()
        if shape.name in found:
            continue
        found[shape.name] = unexplained(shape._shape_model)
        if isinstance(shape, StructureShape):
            waiting += shape.members.values()
        elif isinstance(shape, ListShape):
            waiting.append(shape.member)
        elif isinstance(shape, MapShape):
            waiting += [shape.key, shape.value]
    return {"operation": unexplained(one._operation_model), "shapes": found, "metadata": model.metadata}


def unexplained(part: Any) -> Any:
    if not isinstance(part, dict):
        return [unexplained(each) for each in part] if isinstance(part, list) else part
    return {key: unexplained(each) for key, each in part.items() if key != "documentation" or isinstance(each, dict)}


def test_what_is_not_called_is_gone(slim: Session, data: Path) -> None:
    assert sorted(slim.get_available_services()) == sorted(CALLED)
    with pytest.raises(UnknownServiceError):
        slim.create_client("s3", region_name="eu-central-1")
    for service, operations in CALLED.items():
        assert list(slim.get_service_model(service).operation_names) == operations
        assert len(list((data / service).iterdir())) == 1
    assert {file.name for file in data.rglob("*") if file.is_file() and file.parent != data} <= {
        *("service-2.json", "paginators-1.json", "endpoint-rule-set-1.json", "service-2.sdk-extras.json")
    }
    for partition in json.loads((data / "endpoints.json").read_text())["partitions"]:
        assert set(partition["services"]) <= set(CALLED), "each is called as its endpoints are"
    assert sum(file.stat().st_size for file in data.rglob("*") if file.is_file()) < 1_000_000


@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1", "cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("service", CALLED)
def test_an_endpoint_is_found_in_every_partition(slim: Session, full: Session, service: str, region: str) -> None:
    operation = CALLED[service][0]
    found = []
    for session in (slim, full):
        wire = Wire(session, service, region)
        given = {"QueueUrl": f"https://sqs.{region}.amazonaws.com/1/q"} if service == "sqs" else {}
        wire.call(operation, given, b"{}")
        found.append((wire.client.meta.endpoint_url, wire.sent[1], wire.client.meta.partition))
    assert found[0] == found[1]
    assert region in found[0][1]
    assert (".amazonaws.com.cn/" in found[0][0] + "/") is region.startswith("cn-")


def test_pages_are_turned_for_what_is_called_and_for_nothing_else(slim: Session) -> None:
    wire = Wire(slim, "dynamodb")
    pages: list[dict[str, Any]] = [{"Items": [], "LastEvaluatedKey": {"pk": {"S": "x"}}}, {"Items": []}]
    wire.client.meta.events.register_first(
        "before-send", lambda **_: setattr(wire, "body", json.dumps(pages.pop(0)).encode())
    )
    assert len(list(wire.client.get_paginator("query").paginate(TableName="t"))) == 2
    assert json.loads(wire.sent[3])["ExclusiveStartKey"] == {"pk": {"S": "x"}}
    assert not wire.client.can_paginate("put_item")
    assert not hasattr(wire.client, "scan")
    for service, operations in CALLED.items():
        config = slim.get_component("data_loader").load_service_model(service, "paginators-1")
        assert set(config["pagination"]) <= set(operations)


def test_an_error_is_told_as_it_was(slim: Session) -> None:
    client = Wire(slim, "dynamodb").client
    assert issubclass(client.exceptions.ConditionalCheckFailedException, client.exceptions.ClientError)


def test_what_is_not_there_cannot_be_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    source = Path(botocore.__file__).parent / "data"
    shutil.copytree(source / "kms", folder / "kms")
    shutil.copy(source / "endpoints.json", folder)
    with pytest.raises(KeyError, match="Encript"):
        botocore_data.slim(folder, {"kms": ["Encript"]})


MODEL: dict[str, Any] = {
    "metadata": {"endpointPrefix": "x"},
    "documentation": "<p>all of it</p>",
    "operations": {
        "Ask": {"name": "Ask", "input": {"shape": "In", "documentation": "what"}, "errors": [{"shape": "Wrong"}]},
        "Other": {"name": "Other", "input": {"shape": "Unreached"}},
    },
    "shapes": {
        "In": {
            "type": "structure",
            "documentation": "text",
            "members": {"documentation": {"shape": "Text", "documentation": "text"}, "shape": {"shape": "Self"}},
        },
        "Self": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Self"}},
        "Text": {"type": "string"},
        "Wrong": {"type": "structure", "members": {}},
        "Unreached": {"type": "structure", "members": {}},
    },
}


def test_a_member_that_is_called_like_what_explains_it_is_kept() -> None:
    cut = botocore_data._of_operations(MODEL, ["Ask"])
    assert cut["shapes"] == {
        "In": {"type": "structure", "members": {"documentation": {"shape": "Text"}, "shape": {"shape": "Self"}}},
        **{name: MODEL["shapes"][name] for name in ("Self", "Text", "Wrong")},
    }
    assert cut["operations"] == {"Ask": {"name": "Ask", "input": {"shape": "In"}, "errors": [{"shape": "Wrong"}]}}
    assert "documentation" not in cut


# ---- the whole build


def build(folder: Path, version: str = "sys.version_info") -> subprocess.CompletedProcess[str]:
    """``build.py FOLDER``, as if by a Python of this version."""
    lines = (
        f"import runpy, sys; sys.version_info = {version}; sys.path[0] = {str(FOLDER)!r}",
        f"runpy.run_path({str(FOLDER / 'build.py')!r}, run_name='__main__')",
    )
    arguments = [sys.executable, "-c", "\n".join(lines), str(folder)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603  # ours


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A few packages as they are after they were installed."""
    kept = ["ours/__init__.py", "ours/deep/one.py", "aws_lambda_powertools/logging/a.py", "pydantic/main.py"]
    unused = [
        *("bin/tool", "ours/py.typed", "ours/deep/one.pyi", "pydantic/v1/a.py", "pydantic/mypy.py"),
        *("aws_lambda_powertools/event_handler/a.py", "aws_lambda_powertools/utilities/idempotency/a.py"),
    ]
    for name in (*kept, *unused):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    (tmp_path / "certifi").mkdir()
    shutil.copy(certifi.where(), tmp_path / "certifi")
    return tmp_path


def test_what_is_built_is_cut_and_compiled_for_good(installed: Path) -> None:
    done = build(installed)
    assert (done.returncode, done.stderr) == (0, "")
    sources = sorted(str(file.relative_to(installed)) for file in installed.rglob("*.py"))
    assert sources == [
        *("aws_lambda_powertools/logging/a.py", "ours/__init__.py", "ours/deep/one.py", "pydantic/main.py")
    ]
    assert not list(installed.rglob("*.pyi"))
    assert not list(installed.rglob("py.typed"))
    assert not (installed / "bin").exists()
    for source in sources:
        file = installed / source
        compiled = (file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc").read_bytes()
        assert int.from_bytes(compiled[4:8], "little") == 0b01, "by its source's hash, which nobody compares (PEP 552)"
    assert (installed / "roots" / "amazon.pem").exists()
    assert (installed / "certifi" / "cacert.pem").exists()


@pytest.mark.parametrize("version", ["(3, 12, 9)", "(3, 14, 0)"])
def test_another_python_than_lambda_s_builds_nothing(installed: Path, version: str) -> None:
    done = build(installed, version)
    assert done.returncode != 0
    assert "python3.13" in done.stderr
    assert (installed / "bin").exists()
    assert not list(installed.rglob("*.pyc"))


def unused(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.syspath_prepend(FOLDER)
    found: tuple[str, ...] = built_with("build").UNUSED
    return found


OF_LAMBDA = {"snapshot_restore_py", "mypy_boto3_dynamodb", "mypy_boto3_kinesisvideo", "mypy_boto3_kms"}
OF_LAMBDA |= {"mypy_boto3_secretsmanager", "mypy_boto3_sqs", "mypy_boto3_events"}
"""Lambda's own, and what is for types alone."""
IMPORTING = """
import importlib, sys
from importlib.abc import MetaPathFinder

cut = sys.argv[1].split(":")

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in cut:
            raise LookupError(f"{name} is cut away")

sys.meta_path.insert(0, Absent())
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:  # something in a module
        importlib.import_module(name.rpartition(".")[0])
"""


def test_nothing_that_is_cut_away_is_imported_by_anything_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in it: what a function imports when it is called is imported here too."""
    cut = [pattern.removesuffix(".py").replace("/", ".") for pattern in unused(monkeypatch) if "*" not in pattern]
    assert {"pydantic.v1", "pydantic.mypy", "aws_lambda_powertools.utilities.idempotency"} <= set(cut)
    names = {name for module in product() for name in module.imports}
    ours = {module.name for module in product()}
    packages = {name for name in names if name.partition(".")[0] not in {*sys.stdlib_module_names, *OF_LAMBDA}}
    assert {"botocore.session", "pydantic", "aws_lambda_powertools.utilities.batch", "httpx"} <= packages
    done = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", IMPORTING, ":".join(cut), *sorted(packages | ours)],
        env={"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT / 'layers/headwater'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_is_cut_away_is_there_to_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(botocore.__file__).parents[1]
    assert [pattern for pattern in unused(monkeypatch) if not any(folder.glob(pattern))] == ["bin"]
