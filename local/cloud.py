"""The whole system on this machine: emulator and simulators started, the template built and deployed to them."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config

from local.clock import CLOCK_FILE
from local.processes import Background, Program, free_ports, run
from local.simulators.secrets import SECRETS
from local.steps import step

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".local"
BUILD = HOME / "build"
UNPACKED = HOME / "unpacked"
REGION = "eu-central-1"
ACCOUNT = "123456789012"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""The emulator's root credentials; it knows no others until somebody makes them."""
STAGE = "local"


@dataclass(frozen=True)
class Cloud:
    """Where everything is. ``api_url`` ends with the stage; ``kinesis_video_url`` is moto's.

    ``aws_door_url`` is where the functions find AWS, if there is a door before the emulator; nobody else goes there.
    """

    api_url: str
    aws_endpoint_url: str
    region: str
    simulators_url: str
    kinesis_video_url: str
    bus: str
    table: str
    log_group: str
    account: str = ACCOUNT
    aws_door_url: str | None = None

    def client(self, service: str, **credentials: str) -> Any:
        """A boto3 client of the emulator: its root's, unless other credentials are given."""
        keys = credentials or {name.lower(): value for name, value in CREDENTIALS.items()}
        make: Any = boto3.client  # its types know each service by name; here it is any that the emulator has
        return make(
            service,
            endpoint_url=self.aws_endpoint_url,
            region_name=self.region,
            # The emulator sometimes fails to list what changes meanwhile, twice in a row too.
            config=Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 5}),
            **keys,
        )


@dataclass(frozen=True)
class Ports:
    """Where the programs listen on 127.0.0.1; there may be no AWS door."""

    emulator: int
    simulators: int
    kinesis_video: int
    aws_door: int | None

    @classmethod
    def chosen(cls, aws_door: bool) -> "Ports":
        """Those named by EMULATOR_PORT, SIMULATORS_PORT and KINESIS_VIDEO_PORT; free ones for the others."""
        names = ("EMULATOR_PORT", "SIMULATORS_PORT", "KINESIS_VIDEO_PORT")
        given = [int(os.environ.get(name) or 0) for name in names]
        *free, door = free_ports(4)
        emulator, simulators, kinesis_video = (port or other for port, other in zip(given, free, strict=True))
        return cls(emulator, simulators, kinesis_video, door if aws_door else None)


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class LocalCloud:
    """One running copy, whose files are in ``folder``. What is built is shared by all copies."""

    def __init__(self, folder: Path = HOME, *, aws_door: bool = False) -> None:
        """``aws_door`` starts ``local.aws_door`` between the functions and the emulator."""
        self._folder = folder
        self._programs = (*PROGRAMS, _aws_door) if aws_door else PROGRAMS
        self._has_door = aws_door
        self._background = Background(folder)
        self._file = folder / "stack.json"

    def up(self, parameters: Mapping[str, str] | None = None) -> Cloud:
        """The cloud, started where it is not up yet, and with the present code. ``parameters`` are the template's."""
        build()
        if self._file.exists() and len(self._background.running()) == len(self._programs):
            cloud = Cloud(**json.loads(self._file.read_text()))
            if (self._folder / "deployed").read_text() != _digest():
                self._deploy(cloud.aws_endpoint_url, cloud, parameters or {})
            return cloud
        self.down()
        ports = Ports.chosen(self._has_door)
        with step("starting the emulator and the simulators"):
            self._background.start([program(ports, self._folder) for program in self._programs])
        return self._deploy(url(ports.emulator), ports, parameters or {})

    def down(self) -> list[str]:
        """Stop everything; the names of what had been running."""
        stopped = self._background.stop()
        self._file.unlink(missing_ok=True)
        _clock(self._folder).unlink(missing_ok=True)  # what is started next begins in the present
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)
        return stopped

    def _deploy(self, endpoint: str, at: "Ports | Cloud", parameters: Mapping[str, str]) -> Cloud:
        simulators = at.simulators_url if isinstance(at, Cloud) else url(at.simulators)
        kinesis_video = at.kinesis_video_url if isinstance(at, Cloud) else url(at.kinesis_video)
        door = at.aws_door_url if isinstance(at, Cloud) else url(at.aws_door) if at.aws_door else None
        with step("deploying the template (sam deploy)"):
            given = {**_addresses(simulators, kinesis_video), **parameters}
            deploy(endpoint, given, self._folder, _with_defaults(parameters, self._folder.name))
        cloud = replace(_described(endpoint, simulators, kinesis_video), aws_door_url=door)
        with step("storing the providers' secrets"):
            _seed(cloud)
            _put_gateway_responses(cloud)
        self._file.write_text(json.dumps(asdict(cloud), indent=2) + "\n")
        (self._folder / "deployed").write_text(_digest())
        return cloud


# -- the programs


def _emulator(ports: Ports, folder: Path) -> Program:
    tmp = folder / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    environment = {
        **CREDENTIALS,
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp),
        "TMPDIR": str(tmp),
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "EDGE_PORT": str(ports.emulator),
        "GATEWAY_PORT": str(ports.emulator),
        "IOT_MTLS_ENABLED": "0",  # each would open a port of its own, to everyone
        "SFTP_ENABLED": "0",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "INFO",
        "PYTHONDONTWRITEBYTECODE": "1",
        CLOCK_FILE: str(_clock(folder)),  # for the functions, which inherit it
    }
    if ports.aws_door:
        environment["AWS_ENDPOINT_URL"] = url(ports.aws_door)  # the functions inherit it
    # Without this folder on its path, which the functions would find there too.
    command = [str(ROOT / ".venv-emulator/bin/python"), "-P", str(ROOT / "local/emulator.py"), str(UNPACKED)]
    return Program("emulator", command, environment, f"{url(ports.emulator)}/_ministack/health")


def _simulators(ports: Ports, folder: Path) -> Program:
    command = _python("local.simulators", ports.simulators, "--killable-below", str(ports.emulator))
    environment = {**_plain(), CLOCK_FILE: str(_clock(folder))}
    return Program("simulators", command, environment, f"{url(ports.simulators)}/_control/health")


def _kinesis_video(ports: Ports, folder: Path) -> Program:
    command = _python("local.kinesis_video", ports.kinesis_video, "--killable-below", str(ports.emulator))
    environment = {**_plain(), CLOCK_FILE: str(_clock(folder))}
    return Program("kinesis-video", command, environment, f"{url(ports.kinesis_video)}/_control/health")


def _aws_door(ports: Ports, _: Path) -> Program:
    port = ports.aws_door or 0
    command = _python("local.aws_door", port, "--upstream", url(ports.emulator))
    return Program("aws-door", command, _plain(), f"{url(port)}/_control/health")


PROGRAMS = (_emulator, _simulators, _kinesis_video)


def _clock(folder: Path) -> Path:
    """How far business time was moved there, for the functions and the providers alike."""
    return folder / "clock"


def _python(module: str, port: int, *arguments: str) -> list[str]:
    return [str(ROOT / ".venv/bin/python"), "-m", module, "--port", str(port), *arguments]


def _plain() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "MOTO_ACCOUNT_ID": ACCOUNT}


# -- build and deploy


def build() -> None:
    """Build what changed with ``sam build``, or nothing where nothing did. One at a time: all copies share it."""
    HOME.mkdir(exist_ok=True)
    stamp = HOME / "built"
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _digest()  # of now: what is changed while it is built is not in it
        if stamp.exists() and stamp.read_text() == digest and BUILD.exists():
            return
        with step("building functions and layers (sam build)"):
            _sam(
                *("build", "--build-dir", str(BUILD), "--cache-dir", str(HOME / "build-cache")),
                *("--parameter-overrides", f"Architecture={_architecture()}"),
                log=HOME / "build.log",
            )
        stamp.write_text(digest)


def deploy(
    endpoint: str, parameters: Mapping[str, str], folder: Path, template: Path = BUILD / "template.yaml"
) -> None:
    """Deploy what was built, unmodified unless another template is given, with ``sam deploy``."""
    given = [f"{name}={value}" for name, value in parameters.items()]
    _sam(
        *("deploy", "--template-file", str(template)),
        *("--parameter-overrides", *given),
        log=folder / "deploy.log",
        environment={"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS},
    )


def _with_defaults(parameters: Mapping[str, str], name: str) -> Path:
    """The built template; where parameters are given, a copy of which they are the defaults.

    The emulator's SAM transform sees the defaults only, so a parameter that shapes the API would not take effect.
    """
    if not parameters:
        return BUILD / "template.yaml"
    template = yaml.safe_load((BUILD / "template.yaml").read_text())
    for parameter, value in parameters.items():
        template["Parameters"][parameter]["Default"] = value
    copy = BUILD / f"template-{name}.yaml"
    copy.write_text(yaml.safe_dump(template, sort_keys=False))
    return copy


def _sam(*arguments: str, log: Path, environment: Mapping[str, str] | None = None) -> None:
    tools = ROOT / ".venv-deploy/bin"
    command = [str(tools / "sam"), *arguments, "--config-file", str(ROOT / "samconfig.toml"), "--config-env", "local"]
    # The tools' own python3.13, with its pip, builds the layers, whatever else is on the path.
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    settings = {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", **(environment or {})}
    if run(command, ROOT, settings, log):
        raise RuntimeError(f"sam {arguments[0]} failed:\n{log.read_text(errors='replace')[-3000:]}")


def _architecture() -> str:
    return "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


def _addresses(simulators: str, kinesis_video: str) -> dict[str, str]:
    """The template's parameters here: this machine's architecture and addresses."""
    return {
        "Stage": STAGE,
        "Architecture": _architecture(),
        "GuardBus": "false",  # the emulator knows no bus policies
        "CloudflareBaseUrl": f"{simulators}/cloudflare/client/v4",
        "KinesisVideoBaseUrl": kinesis_video,
        "OvershootBaseUrl": f"{simulators}/overshoot/v1beta",
        "OvershootV02BaseUrl": f"{simulators}/overshoot/v0.2",
        "PyannoteBaseUrl": f"{simulators}/pyannote",
    }


def _digest() -> str:
    """What the deployed code and template are made of."""
    digest = hashlib.sha256(_architecture().encode())
    files = [ROOT / "template.yaml", ROOT / "samconfig.toml"]
    for folder in ("functions", "layers"):
        files += sorted(
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    for path in files:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _described(endpoint: str, simulators: str, kinesis_video: str) -> Cloud:
    bare = Cloud("", endpoint, REGION, simulators, kinesis_video, "", "", "")
    stacks = bare.client("cloudformation").describe_stacks(StackName="headwater-local")["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks[0]["Outputs"]}
    return Cloud(
        # Python's resolver does not know *.localhost, so the API is called by this path.
        api_url=f"{endpoint}/_aws/execute-api/{outputs['ApiId']}/v1",
        aws_endpoint_url=endpoint,
        region=REGION,
        simulators_url=simulators,
        kinesis_video_url=kinesis_video,
        bus=outputs["BusName"],
        table=outputs["TableName"],
        log_group=outputs["LogGroupName"],
    )


def _seed(cloud: Cloud) -> None:
    secrets = cloud.client("secretsmanager")
    for provider, value in SECRETS.items():
        secrets.put_secret_value(SecretId=f"headwater/{STAGE}/{provider}", SecretString=json.dumps(value))


def _put_gateway_responses(cloud: Cloud) -> None:
    """What API Gateway takes from the API's own description, the emulator takes only call by call."""
    api = yaml.safe_load((BUILD / "template.yaml").read_text())["Resources"]["Api"]["Properties"]
    gateway, api_id = cloud.client("apigateway"), cloud.api_url.split("/")[-2]
    for kind, response in api["GatewayResponses"].items():
        headers = response["ResponseParameters"]["Headers"]
        gateway.put_gateway_response(
            restApiId=api_id,
            responseType=kind,
            statusCode=str(response["StatusCode"]),
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            responseTemplates=response["ResponseTemplates"],
        )
    gateway.create_deployment(restApiId=api_id, stageName=api["StageName"])
