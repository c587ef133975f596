"""SnapStart is off, with nothing of it in what is deployed; or a parameter, and what is waited for has an alias.

By what SAM makes of the template: ``tools.snapstart`` is given it as it is given what was built.
"""

import json
import re
import subprocess
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house.subjects import ROOT, folders
from tests.template import default, name_of, resources, template
from tools.snapstart import NAMED, main, with_snapstart

type Resources = dict[str, dict[str, Any]]

ANSWERING = [folder for folder in folders() if folder.startswith(("provision_", "browse_", "authorize_"))]
OTHERS = sorted(set(folders()) - set(ANSWERING))
VERSION, ALIAS = "AWS::Lambda::Version", "AWS::Lambda::Alias"


def built(**places: str) -> dict[str, Any]:
    """What ``sam build`` and packaging make of the template; ``places`` are where something's content is."""
    found: dict[str, Any] = json.loads(json.dumps(template()))
    for name, one in (*found["Resources"].items(), ("Globals", found["Globals"]["Function"])):
        place = one.get("Properties", one)
        for uri in {"CodeUri", "ContentUri"} & set(place):
            place[uri] = places.get(name, "s3://bucket/key")
    return found


def deployed(found: dict[str, Any]) -> Resources:
    """What SAM makes of it."""
    command = [ROOT / ".venv-deploy" / "bin" / "python", Path(__file__).with_name("transform.py")]
    asked = json.dumps({"template": found, "parameters": {"CallerKind": "Jwt"}})
    made = subprocess.run(command, input=asked, capture_output=True, check=True, text=True).stdout  # noqa: S603  # ours
    resources: Resources = json.loads(made)["Resources"]
    return resources


@cache
def plain() -> Resources:
    return deployed(built())


@cache
def snapped() -> Resources:
    return deployed(with_snapstart(built()))


def of_kind(resources: Resources, *kinds: str) -> set[str]:
    return {name for name, one in resources.items() if one["Type"] in kinds}


def version(resources: Resources, folder: str) -> str:
    [name] = [one for one in of_kind(resources, VERSION) if one.startswith(f"{name_of(folder)}Function")]
    return name


def alias(folder: str) -> str:
    return f"{name_of(folder)}FunctionAliaslive"


def unlayered(resources: Resources, folder: str) -> dict[str, Any]:
    """A function but for its layers, whose names SAM makes of their properties."""
    properties = resources[f"{name_of(folder)}Function"]["Properties"]
    return {name: value for name, value in properties.items() if name != "Layers"}


def test_without_it_nothing_is_published() -> None:
    assert of_kind(plain(), VERSION, ALIAS) == set()
    assert not any("SnapStart" in one["Properties"] for one in plain().values() if "Properties" in one)


def test_with_it_all_that_is_waited_for_has_an_alias_and_nothing_else() -> None:
    assert of_kind(snapped(), ALIAS) == set(map(alias, ANSWERING))
    for folder in ANSWERING:
        assert snapped()[f"{name_of(folder)}Function"]["Properties"]["SnapStart"] == {"ApplyOn": {"Ref": "SnapStart"}}
    for folder in OTHERS:
        assert unlayered(snapped(), folder) == unlayered(plain(), folder)


def test_every_call_comes_by_the_alias_and_may_do_so() -> None:
    api = snapped()["Api"]["Properties"]["Body"]
    integrations = [
        call["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
        for path in api["paths"].values()
        for call in path.values()
    ]
    authorizer = api["components"]["securitySchemes"]["Jwt"]["x-amazon-apigateway-authorizer"]["authorizerUri"]
    led_to = set(re.findall(r"\$\{(\w+)(?:\.\w+)?\}/invocations", "\n".join(integrations)))
    assert led_to == {alias(folder) for folder in ANSWERING if folder != "authorize_caller"}
    assert alias("authorize_caller") in json.dumps(authorizer)
    allowed = [one["Properties"] for one in snapped().values() if one["Type"] == "AWS::Lambda::Permission"]
    of_the_api = [one["FunctionName"] for one in allowed if one["Principal"] == "apigateway.amazonaws.com"]
    assert {each["Ref"] for each in of_the_api} == set(map(alias, ANSWERING))


def test_a_queue_s_messages_come_by_the_alias_too() -> None:
    """Else a function had two kinds of environments, and each would be cold when the other is warm."""
    for folder in ANSWERING:
        name = f"{name_of(folder)}Mapping"
        if name in snapped():
            assert snapped()[name]["Properties"]["FunctionName"] == {"Ref": alias(folder)}
    for folder in OTHERS:
        name = f"{name_of(folder)}Mapping"
        assert snapped().get(name) == plain().get(name)


@pytest.mark.parametrize("folder", ANSWERING)
def test_a_version_goes_with_the_deployment_that_replaces_it(folder: str) -> None:
    """For as long as there is one, its snapshot is paid for."""
    assert snapped()[version(snapped(), folder)]["DeletionPolicy"] == "Delete"


def test_other_code_is_another_version() -> None:
    other = deployed(with_snapstart(built(Globals="s3://bucket/other")))
    for folder in ANSWERING:
        assert version(other, folder) != version(snapped(), folder)


@pytest.mark.parametrize("layer", resources("AWS::Serverless::LayerVersion"))
def test_another_layer_is_another_version_of_whatever_has_it(layer: str) -> None:
    other = deployed(with_snapstart(built(**{layer: "s3://bucket/other"})))
    has_it = {
        folder
        for folder in ANSWERING
        if layer in json.dumps(snapped()[f"{name_of(folder)}Function"]["Properties"]["Layers"])
    }
    assert has_it
    for folder in ANSWERING:
        assert (version(other, folder) != version(snapped(), folder)) is (folder in has_it)


def referred(node: Any) -> set[str]:
    """The names that stand anywhere in it, as references or within texts to be filled in."""
    return set(re.findall(r"\w+", json.dumps(node)))


@pytest.mark.parametrize("folder", ANSWERING)
def test_another_parameter_is_another_version_if_the_function_is_told_of_it(folder: str) -> None:
    """SAM names a version by the template alone: without this, a new value would reach no call."""
    described = snapped()[version(snapped(), folder)]["Properties"]["Description"]["Fn::Sub"]
    resources = template()["Resources"]
    known = set(template()["Parameters"]) | {name for name, one in resources.items() if one["Type"] in NAMED}
    function = {key: value for key, value in unlayered(snapped(), folder).items() if key != "Description"}
    told = (referred(function) & known) - {"DeploymentId"} | {"SnapStart"}
    assert set(re.findall(r"\$\{(\w+)\}", described)) == told
    assert {"LogLevel", "Table", "Architecture"} <= told


@pytest.mark.parametrize("folder", ANSWERING)
def test_a_version_s_description_is_no_longer_than_lambda_takes(folder: str) -> None:
    described = snapped()[version(snapped(), folder)]["Properties"]["Description"]["Fn::Sub"]
    values = {"SnapStart": "PublishedVersions", "SealingKey": "k" * 36, "Bus": "headwater-" + "s" * 20}
    values["Table"] = "s" * 40 + "-Table-" + "X" * 13  # a stack's name, and what CloudFormation adds
    for name in re.findall(r"\w+", described):
        described = described.replace(f"${{{name}}}", str(values.get(name) or default({"Ref": name})))
    assert len(described) <= 256


def test_what_snapstart_cannot_do_is_not_asked_for() -> None:
    """ "Supported features and limitations" of SnapStart in the Lambda developer guide."""
    functions = [snapped()[f"{name_of(folder)}Function"]["Properties"] for folder in ANSWERING]
    assert not {"FileSystemConfigs", "EphemeralStorage"} & set(chain.from_iterable(functions))
    assert not any("ProvisionedConcurrencyConfig" in one.get("Properties", {}) for one in snapped().values())


def test_all_else_is_as_without_it() -> None:
    changed = {name for name in plain() if plain()[name] != snapped().get(name)}
    kinds = {plain()[name]["Type"] for name in changed}
    assert kinds <= {
        *("AWS::Lambda::Function", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission"),
        "AWS::Lambda::EventSourceMapping",
        *("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Stage"),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(yaml.safe_dump(built()))
    return path


def test_a_file_is_given_the_parameter_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(file)
    once = file.read_text()
    main(file)
    assert file.read_text() == once
    assert "SnapStart" in capsys.readouterr().out
    parameter = yaml.safe_load(once)["Parameters"]["SnapStart"]
    assert parameter["AllowedValues"] == ["None", "PublishedVersions"]
